"""Who may use the API, from where and how often; and what each answer tells the browser."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis
from fakeredis import FakeServer
from flask import Flask
from flask.testing import FlaskClient

from app import settings
from app.web import rate
from tests.unit.translation.test_translations_api import GOOD, assert_problem

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105
UNKNOWN = "/translations/6f1ed002-ab5d-42cf-868e-5a0e1cc1ce51"
Start = Callable[..., FlaskClient]


@pytest.fixture
def start(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Start:
    """The application with these settings."""

    def start(**environment: str) -> FlaskClient:
        from app.web.application import create_app

        for name, value in {"OLLAMA_URL": "http://127.0.0.1:9", **environment}.items():
            monkeypatch.setenv(name, value)
        settings.current.cache_clear()
        application = create_app()
        # Only now: actors are declared on the broker that is installed.
        from app.translation import actors

        actors.store.cache_clear()
        return application.test_client()

    return start


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_with_a_token_every_route_that_is_not_open_asks_for_it(start: Start) -> None:
    client = start(API_TOKEN=TOKEN)

    for rule in client.application.url_map.iter_rules():
        path = rule.build(dict.fromkeys(rule.arguments, UNKNOWN[-36:]) | {"filename": "x"}, append_unknown=False)
        if rule.endpoint.endswith(".static") or rule.rule in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
            continue
        assert path is not None
        for method in (rule.methods or set()) - {"OPTIONS"}:
            answer = client.open(path[1], method=method)
            assert answer.status_code == 401, (method, rule.rule)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tandem"'
    assert_problem(client.get("/translations"), 401, "needs the header Authorization: Bearer")
    assert client.get("/nothing/here").status_code == 401


def test_pages_and_health_are_open_and_tell_strangers_no_addresses(start: Start) -> None:
    client = start(API_TOKEN=TOKEN)

    for path in (
        "/",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/static/docs/docs.css",
        "/static/translation/translate.css",
    ):
        assert client.get(path).status_code == 200, path
    assert client.get("/readyz").get_json()["checks"]["redis"] == {"status": "ok"}
    assert "127.0.0.1" not in client.get("/readyz").text
    assert client.get("/readyz", headers=bearer(TOKEN)).get_json()["checks"]["redis"]["detail"] == "answers"


@pytest.mark.parametrize(
    "value", ["Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer ", "Bearer \xff\xfe", ""]
)
def test_a_wrong_token_is_refused_and_stands_in_no_log(
    start: Start, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = start(API_TOKEN=TOKEN)
    caplog.set_level(logging.DEBUG)

    answer = client.post("/translations", json=GOOD, headers={"Authorization": value})

    assert_problem(answer, 401, "right API_TOKEN")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tandem", error="invalid_token"'
    assert TOKEN not in caplog.text and "wrong" not in caplog.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_right_token_opens(start: Start, scheme: str) -> None:
    client = start(API_TOKEN=TOKEN)
    assert client.post("/translations", json=GOOD, headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 202


REFUSED: list[dict[str, str]] = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "http://localhost.elsewhere.example"},
    {"Origin": "http://[broken"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_a_page_elsewhere_changes_nothing(start: Start, redis_client: redis.Redis, headers: dict[str, str]) -> None:
    client = start()

    assert_problem(client.post("/translations", json=GOOD, headers=headers), 403, "a web page elsewhere")
    assert_problem(client.delete(UNKNOWN, headers=headers), 403, "a web page elsewhere")
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        # A proxy that names this server otherwise than the browser does.
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://translate.example"},
    ],
    ids=str,
)
def test_the_own_page_and_programs_may_change_things(start: Start, headers: dict[str, str]) -> None:
    assert start().post("/translations", json=GOOD, headers=headers).status_code == 202


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "1.2.3.4.evil.example"])
def test_a_name_that_nobody_has_given_is_refused(start: Start, host: str) -> None:
    client = start()
    assert_problem(client.get("/translations", headers={"Host": host}), 403, "ALLOWED_HOSTS")
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
        "192.168.7.9",
        "app:8000",
        "nas.local",
        "host.docker.internal:8000",
    ],
)
def test_addresses_and_private_names_need_no_setting(start: Start, host: str) -> None:
    assert start().get("/translations", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "environment",
    [{"ALLOWED_HOSTS": "translate.example, other.example"}, {"ALLOWED_HOSTS": "*"}, {"PROXIES": "1"}],
    ids=str,
)
def test_a_name_is_allowed_by_a_setting_or_behind_a_proxy(start: Start, environment: dict[str, str]) -> None:
    client = start(**environment)
    assert client.get("/translations", headers={"Host": "translate.example:8000"}).status_code == 200


def test_no_other_origin_is_let_in(start: Start) -> None:
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = start().options("/translations", headers=preflight)
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_more_changes_than_allowed_are_refused_for_a_while(start: Start, redis_client: redis.Redis) -> None:
    client = start(RATE_LIMIT="3")
    assert [client.post("/translations", json=GOOD).status_code for _ in range(3)] == [202] * 3

    refused = client.post("/translations", json=GOOD)

    assert_problem(refused, 429, "at most 3 changes a minute")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert client.delete(UNKNOWN).status_code == 429
    assert client.get("/translations").status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.post("/translations", json=GOOD, environ_base=elsewhere).status_code == 202
    assert redis_client.llen("dramatiq:translations") == 4


def test_counts_of_clients_go_by_themselves(start: Start, redis_client: redis.Redis) -> None:
    start(RATE_LIMIT="3").post("/translations", json=GOOD)
    (key,) = redis_client.keys("tandem:rate:*")
    assert 0 < redis_client.ttl(key) <= 120


def test_a_limit_of_zero_is_none(start: Start, redis_client: redis.Redis) -> None:
    start(RATE_LIMIT="0").post("/translations", json=GOOD)
    assert not redis_client.keys("tandem:rate:*")


def test_without_redis_the_answer_is_that_of_the_queue(start: Start, redis_server: FakeServer) -> None:
    client = start(RATE_LIMIT="1")
    redis_server.connected = False
    assert [client.post("/translations", json=GOOD).status_code for _ in range(3)] == [503] * 3


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "unix:"),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str, name: str) -> None:
    assert rate.client_name(address) == name


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        ("0", "203.0.113.9", "10.0.0.1"),
        ("1", "203.0.113.9", "203.0.113.9"),
        # What the client itself has written stands in front and is not believed.
        ("1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("2", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("2", "203.0.113.9", "10.0.0.1"),
    ],
)
def test_the_client_is_the_one_that_the_outermost_proxy_saw(
    start: Start, redis_client: redis.Redis, proxies: str, forwarded: str, client: str
) -> None:
    sender = start(PROXIES=proxies, RATE_LIMIT="3")
    sender.post(
        "/translations", json=GOOD, headers={"X-Forwarded-For": forwarded}, environ_base={"REMOTE_ADDR": "10.0.0.1"}
    )
    (key,) = redis_client.keys("tandem:rate:*")
    assert f"/{client}/" in str(key)


def test_every_answer_tells_the_browser_to_be_careful(start: Start) -> None:
    client = start()
    paths = ["/", "/docs", "/healthz", "/nothing", "/translations", "/static/docs/docs.css", "/static/docs/none.css"]
    for path in paths:
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert "Strict-Transport-Security" not in answer.headers
    assert client.get("/translations").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("proxies", "strict"), [("0", False), ("1", True)])
def test_tls_is_demanded_only_where_a_proxy_has_it(start: Start, proxies: str, strict: bool) -> None:
    answer = start(PROXIES=proxies).get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert ("Strict-Transport-Security" in answer.headers) == strict


def test_a_static_file_is_kept_under_an_address_that_its_content_makes(start: Start) -> None:
    client = start()
    page = client.get("/").text
    address = next(part for part in page.split('"') if part.startswith("/static/translation/translate.css"))
    assert "?v=" in address

    assert client.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get(address.partition("?")[0]).headers["Cache-Control"] == "no-cache"
    assert client.get(address + "0").headers["Cache-Control"] == "no-cache"
    assert client.get("/static/translation/none.css?v=1").headers["Cache-Control"] == "no-store"


def test_a_view_that_breaks_is_answered_with_these_headers_as_well(application: Flask) -> None:
    @application.get("/broken")
    def broken() -> Any:
        raise ValueError("a secret")

    answer = application.test_client().get("/broken")

    assert_problem(answer, 500, "the server made a mistake")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
