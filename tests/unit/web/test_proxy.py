"""What keeps the web answering: the proxy's configuration, large bodies and /readyz."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from flask import Flask

from tandem.config.settings import Settings
from tandem.health.checks import Result, Status
from tandem.web import body_limit, peer, proxy_configuration, readiness
from tandem.web.readiness import Busy, SharedReadiness
from tests.paths import ROOT

TEMPLATE = ROOT / "docker" / "nginx.conf"
SECONDS = 10.0


def configuration(**settings: Any) -> str:
    return proxy_configuration.configuration(TEMPLATE.read_text(), Settings(**settings))


def test_the_proxy_has_the_limits_of_the_settings() -> None:
    text = configuration(client_requests=7, client_event_streams=3, body_limit=1234, log_level="WARNING")
    for line in ("limit_conn requests 7;", "limit_conn streams 3;", "client_max_body_size 1234;", "access_log off;"):
        assert line in text
    assert "%(" not in text


def test_every_answer_of_the_proxy_is_a_problem_with_the_security_headers() -> None:
    text = configuration()
    for status in proxy_configuration._PROBLEMS:
        (block,) = re.findall(rf"location = /.proxy/{status} {{(.*?)\n        }}", text, re.DOTALL)
        assert "application/problem+json" in block and "default-src 'none'" in block and f"return {status} " in block


@pytest.mark.parametrize(
    ("proxies", "header", "client"),
    [
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4,5.6.7.8", "1.2.3.4"),
        (3, "1.2.3.4, 5.6.7.8", None),
        (1, "a" * 65, None),
        (1, "", None),
    ],
)
def test_the_client_is_the_hop_that_the_outermost_proxy_saw(proxies: int, header: str, client: str | None) -> None:
    line = proxy_configuration._forwarded(proxies)
    pattern = re.fullmatch(r'"~(.*)" \$hop;', line)
    assert pattern
    # PCRE's words for what Python has others for.
    match = re.search(pattern[1].replace("(?<", "(?P<").replace("[:space:]", r"\s"), header)
    assert (match["hop"] if match else None) == client


def test_without_proxies_the_forwarded_headers_are_ignored() -> None:
    assert proxy_configuration._forwarded(0) == ""


@pytest.mark.parametrize(("by_socket", "seen"), [("", "1.2.3.4"), ("9.9.9.9", "9.9.9.9")])
def test_the_proxys_client_is_the_address_and_no_one_else_says_so(by_socket: str, seen: str) -> None:
    environments: list[dict[str, Any]] = []

    def keep(environ: dict[str, Any], _start: object) -> list[bytes]:
        environments.append(environ)
        return []

    application = peer.with_peer(keep)
    application({"REMOTE_ADDR": by_socket, "HTTP_X_TANDEM_PEER": "1.2.3.4"}, lambda *_: None)
    assert environments == [{"REMOTE_ADDR": seen}]


@pytest.fixture
def small() -> Flask:
    """An application that lets two large bodies in at once, and says how large one was."""
    app = Flask("small")
    body_limit.register(app, Settings(large_bodies=2))
    return app


def test_a_large_body_too_many_is_refused_and_its_place_is_free_afterwards(small: Flask) -> None:
    here, go_on = [Event(), Event()], Event()

    @small.post("/<int:number>")
    def wait(number: int) -> str:
        here[number].set()
        assert go_on.wait(SECONDS)
        return "done"

    @small.post("/bug")
    def bug() -> str:
        raise RuntimeError

    large = b"x" * (body_limit.MAX_BODY + 1)
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(small.test_client().post, f"/{number}", data=large) for number in range(2)]
        assert all(event.wait(SECONDS) for event in here)
        refused = small.test_client().post("/0", data=large)
        delivery = small.test_client().post("/2", data=b"x")  # no such event: it is small, and gets as far as the view
        go_on.set()
        assert [future.result().status_code for future in held] == [200, 200]
    assert refused.status_code == 503 and refused.mimetype == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0 and "LARGE_BODIES" in refused.text
    assert delivery.status_code == 500
    for _ in range(3):
        assert small.test_client().post("/bug", data=large).status_code == 500


GOOD = [Result("redis", Status.OK, "answers")]


class Slow:
    """A run of the checks that lasts until it is released."""

    def __init__(self) -> None:
        self.runs, self.begun, self.end = 0, Event(), Event()

    def __call__(self) -> list[Result]:
        self.runs += 1
        self.begun.set()
        assert self.end.wait(SECONDS)
        return GOOD


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time."""
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return lambda seconds: moment.__setitem__(0, seconds)


def test_one_run_serves_all_requests_for_two_seconds(at: Callable[[float], None]) -> None:
    slow = Slow()
    slow.end.set()
    shared = SharedReadiness(slow, max_waiting=1)
    for moment in (1000.0, 1000.5, 1001.9, 1002.1):
        at(moment)
        assert shared.results() == GOOD
    assert slow.runs == 2


def test_during_a_run_few_requests_wait_and_the_others_fail_at_once() -> None:
    slow = Slow()
    shared = SharedReadiness(slow, max_waiting=0)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.results)
        assert slow.begun.wait(SECONDS)
        for _ in range(48):
            with pytest.raises(Busy):
                shared.results()
        slow.end.set()
        assert first.result() == GOOD
    assert slow.runs == 1


def test_during_a_run_the_previous_results_are_returned(at: Callable[[float], None]) -> None:
    slow = Slow()
    slow.end.set()
    shared = SharedReadiness(slow, max_waiting=0)
    shared.results()
    slow.begun.clear()
    slow.end.clear()
    at(1003.0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(shared.results)
        assert slow.begun.wait(SECONDS)
        assert shared.results() == GOOD
        at(1000.0 + readiness.STALE_SECONDS)
        with pytest.raises(Busy):
            shared.results()
        slow.end.set()


def test_a_run_that_raises_is_repeated() -> None:
    def broken() -> list[Result]:
        raise RuntimeError("broken")

    shared = SharedReadiness(broken, max_waiting=1)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            shared.results()


def test_a_detail_with_an_apostrophe_is_one_string_of_the_configuration() -> None:
    config = proxy_configuration.configuration(TEMPLATE.read_text(), Settings())
    details = re.findall(r"return \d+ '((?:[^'\\]|\\.)*)';", config)
    assert len(details) == config.count("            return ") and len(details) > 5
    assert any("\\'" in detail for detail in details)
    assert all(json.loads(detail.replace("\\'", "'"))["detail"] for detail in details)
