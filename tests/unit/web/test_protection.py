"""Authentication, allowed hosts and rate limits of the API, and the security headers of responses."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import time
from typing import Any

import pytest
import redis
from fakeredis import FakeServer
from flask import Flask
from flask.testing import FlaskClient

from tandem.config import settings
from tandem.operate import auth_failures
from tandem.web import rate_limit
from tandem.web.throttle import MAX_WRONG
from tests.paths import ROOT
from tests.unit.problems import assert_problem

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105
ALICE, BOB = "alice-has-this-token", "bob-has=this=token=="
GOOD = {"text": "Good morning."}
UNKNOWN = "/notes/6f1ed002-ab5d-42cf-868e-5a0e1cc1ce51"
Start = Callable[..., FlaskClient]


@pytest.fixture
def start(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Start:
    """The application with these settings."""

    def start(**environment: str) -> FlaskClient:
        from tandem.web.application import create_app

        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings.reset()
        return create_app().test_client()

    return start


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_with_a_token_every_route_that_is_not_open_asks_for_it(start: Start) -> None:
    client = start(API_TOKEN=TOKEN)

    for rule in client.application.url_map.iter_rules():
        path = rule.build(dict.fromkeys(rule.arguments, UNKNOWN[-36:]) | {"filename": "x"}, append_unknown=False)
        # The operations page has tokens of its own (tests/unit/web/ops).
        if rule.endpoint.startswith("ops."):
            continue
        if rule.endpoint.endswith(".static") or rule.rule in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
            continue
        assert path is not None
        for method in (rule.methods or set()) - {"OPTIONS"}:
            answer = client.open(path[1], method=method)
            assert answer.status_code == 401, (method, rule.rule)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tandem"'
    assert_problem(client.get("/notes"), 401, "send the header Authorization: Bearer")
    assert client.get("/nothing/here").status_code == 401


def test_public_pages_and_health_reveal_no_addresses(start: Start) -> None:
    client = start(API_TOKEN=TOKEN)

    for path in (
        "/",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/static/docs/docs.css",
        "/static/notes/notes.css",
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

    answer = client.post("/notes", json=GOOD, headers={"Authorization": value})

    assert_problem(answer, 401, "invalid token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tandem", error="invalid_token"'
    assert TOKEN not in caplog.text and "wrong" not in caplog.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_right_token_opens(start: Start, scheme: str) -> None:
    client = start(API_TOKEN=TOKEN)
    assert client.post("/notes", json=GOOD, headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 202


@pytest.mark.parametrize("token", ["key=abcdefghijklmnop", "abcdefghijklmnop==", 'a,b;c "d=1"'.replace(" ", "") * 2])
def test_a_token_of_any_visible_characters_opens(start: Start, token: str) -> None:
    client = start(API_TOKEN=token)
    assert client.get("/notes", headers=bearer(token)).status_code == 200
    assert client.get("/notes", headers=bearer(token[:-1])).status_code == 401


def test_each_named_token_opens_and_has_its_own_count(start: Start) -> None:
    client = start(API_TOKENS=f"alice:{ALICE},bob:{BOB}", API_TOKEN=TOKEN, RATE_LIMIT="2")

    for token in (ALICE, BOB, TOKEN):
        tried_at = [client.post("/notes", json=GOOD, headers=bearer(token)).status_code for _ in range(3)]
        assert tried_at == [202, 202, 429]
    assert client.get("/notes").status_code == 401


def test_named_tokens_alone_protect_the_api_and_stand_in_the_document(start: Start) -> None:
    client = start(API_TOKENS=f"alice:{ALICE}")

    assert client.get("/notes").status_code == 401
    assert client.get("/notes", headers=bearer(f"alice:{ALICE}")).status_code == 401
    assert client.get("/notes", headers=bearer(ALICE) | {"Host": "any.example"}).status_code == 200
    assert client.get("/readyz", headers=bearer(ALICE)).get_json()["checks"]["redis"]["detail"] == "answers"
    document = client.get("/openapi.json").get_json()
    assert document["paths"]["/notes"]["get"]["security"] == [{"token": []}]


def guess(client: FlaskClient, token: str, address: str, path: str = "/notes") -> int:
    return client.get(path, headers=bearer(token), environ_base={"REMOTE_ADDR": address}).status_code


def test_wrong_tokens_of_one_client_are_counted_and_then_refused_unseen(
    start: Start, redis_client: redis.Redis
) -> None:
    client = start(API_TOKEN=TOKEN)

    tried_at = [guess(client, f"wrong-wrong-wrong-{number}", "192.0.2.7") for number in range(MAX_WRONG + 3)]

    assert tried_at == [401] * MAX_WRONG + [429] * 3
    assert guess(client, TOKEN, "192.0.2.7") == 429, "a right guess looks as a wrong one does"
    assert guess(client, TOKEN, "192.0.2.8") == 200
    answer = client.get("/notes", headers=bearer(TOKEN), environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert_problem(answer, 429, "too many wrong tokens from this address")
    assert answer.headers["Retry-After"] == "60"
    assert auth_failures.recent(redis_client, time()) == MAX_WRONG + 3


def test_guessing_on_a_public_page_counts_and_reveals_nothing(start: Start) -> None:
    client = start(API_TOKEN=TOKEN)
    for number in range(MAX_WRONG + 1):
        assert guess(client, f"wrong-wrong-wrong-{number}", "192.0.2.7", "/healthz") == 200

    answer = client.get("/readyz", headers=bearer(TOKEN), environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.get_json()["checks"]["redis"] == {"status": "ok"}


def test_a_client_that_has_used_its_token_is_not_locked_out_by_a_stranger_at_its_address(start: Start) -> None:
    client = start(API_TOKENS=f"alice:{ALICE},bob:{BOB}")
    assert guess(client, ALICE, "192.0.2.7") == 200
    for _ in range(MAX_WRONG + 1):
        guess(client, "wrong-wrong-wrong", "192.0.2.7")

    assert guess(client, ALICE, "192.0.2.7") == 200
    assert guess(client, BOB, "192.0.2.7") == 429
    # Another web process, which has not seen that client yet.
    other = start(API_TOKENS=f"alice:{ALICE},bob:{BOB}")
    assert guess(other, ALICE, "192.0.2.7") == 200


def test_requests_without_a_token_are_no_guesses(start: Start) -> None:
    client = start(API_TOKEN=TOKEN)
    assert {client.get("/notes").status_code for _ in range(MAX_WRONG + 5)} == {401}


def test_without_redis_tokens_are_still_distinguished(start: Start, redis_server: FakeServer) -> None:
    client = start(API_TOKEN=TOKEN)
    redis_server.connected = False
    assert {guess(client, "wrong-wrong-wrong", "192.0.2.7") for _ in range(MAX_WRONG + 5)} == {401}
    assert guess(client, TOKEN, "192.0.2.7", "/limits") == 200


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

    assert_problem(client.post("/notes", json=GOOD, headers=headers), 403, "cross-site request refused")
    assert_problem(client.delete(UNKNOWN, headers=headers), 403, "cross-site request refused")
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        # A proxy that names this server otherwise than the browser does.
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://notes.example"},
    ],
    ids=str,
)
def test_the_own_page_and_programs_may_change_things(start: Start, headers: dict[str, str]) -> None:
    assert start().post("/notes", json=GOOD, headers=headers).status_code == 202


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "1.2.3.4.evil.example"])
def test_an_unknown_host_is_refused(start: Start, host: str) -> None:
    client = start()
    assert_problem(client.get("/notes", headers={"Host": host}), 403, "ALLOWED_HOSTS")
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
    assert start().get("/notes", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "environment",
    [{"ALLOWED_HOSTS": "notes.example, other.example"}, {"ALLOWED_HOSTS": "*"}, {"PROXIES": "1"}],
    ids=str,
)
def test_a_host_is_allowed_by_a_setting_or_after_a_proxy(start: Start, environment: dict[str, str]) -> None:
    client = start(**environment)
    assert client.get("/notes", headers={"Host": "notes.example:8000"}).status_code == 200


def test_no_other_origin_is_let_in(start: Start) -> None:
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = start().options("/notes", headers=preflight)
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_more_changes_than_allowed_are_refused_for_a_while(start: Start, redis_client: redis.Redis) -> None:
    client = start(RATE_LIMIT="3")
    assert [client.post("/notes", json=GOOD).status_code for _ in range(3)] == [202] * 3

    refused = client.post("/notes", json=GOOD)

    assert_problem(refused, 429, "more than 3 a minute")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert client.delete(UNKNOWN).status_code == 429
    assert client.get("/notes").status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.post("/notes", json=GOOD, environ_base=elsewhere).status_code == 202
    assert redis_client.llen("dramatiq:notes") == 4


def test_counts_of_clients_go_by_themselves(start: Start, redis_client: redis.Redis) -> None:
    start(RATE_LIMIT="3").post("/notes", json=GOOD)
    (key,) = redis_client.keys("tandem:rate:*")
    assert 0 < redis_client.ttl(key) <= 120


def test_a_limit_of_zero_is_none(start: Start, redis_client: redis.Redis) -> None:
    start(RATE_LIMIT="0").post("/notes", json=GOOD)
    assert not redis_client.keys("tandem:rate:*")


def test_without_redis_the_answer_is_that_of_the_queue(start: Start, redis_server: FakeServer) -> None:
    client = start(RATE_LIMIT="1")
    redis_server.connected = False
    assert [client.post("/notes", json=GOOD).status_code for _ in range(3)] == [503] * 3


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/56"),
        ("2001:db8:1:ff:3:4:5:6", "2001:db8:1::/56"),
        ("2001:db8:1:100:3:4:5:6", "2001:db8:1:100::/56"),
        ("192.0.2.7:51234", "192.0.2.7"),
        (" 192.0.2.7:1 ", "192.0.2.7"),
        ("[2001:db8:1::9]:51234", "2001:db8:1::/56"),
        ("[2001:db8:1::9]", "2001:db8:1::/56"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/56"),
        ("[fe80::1%eth0]:80", "fe80::/56"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "unix:"),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str, name: str) -> None:
    assert rate_limit.client_name(address) == name


@pytest.mark.parametrize(
    "addresses",
    [
        ("2001:db8:1:2::1", "2001:db8:1:ff:9:9:9:9", "[2001:db8:1:2::1]:443", "2001:db8:1::1"),
        ("2001:db8:1:1ff::1", "2001:DB8:1:100:3:4:5:6"),
        ("2001:db8:1:abcd::1", "2001:db8:1:ab01::2"),
        ("2001:db8::1", "2001:db8::2"),
        ("192.0.2.7", "192.0.2.7:51234"),
    ],
)
def test_the_proxy_in_the_image_and_the_application_agree_on_what_one_client_is(addresses: tuple[str, ...]) -> None:
    assert len({rate_limit.client_name(address) for address in addresses}) == 1
    assert len({proxy_client(address) for address in addresses}) == 1


def test_other_clients_are_others_to_both() -> None:
    addresses = ["2001:db8:1:2::1", "2001:db8:1:1ff::1", "2001:db8:1:abcd::1", "2001:db8:2:2::1", "192.0.2.7"]
    assert len({rate_limit.client_name(address) for address in addresses}) == len(addresses)
    assert len({proxy_client(address) for address in addresses}) == len(addresses)


def proxy_client(address: str) -> str:
    """What docker/nginx.conf's map makes of it."""
    conf = (ROOT / "docker/nginx.conf").read_text()
    block = re.search(r"map \$address \$client \{(.*?)\n    \}", conf, re.DOTALL)
    assert block
    for pattern in re.findall(r'"(~\*?.+)" \$\w+;', block[1]):
        if match := re.match(pattern.lstrip("~*").replace("(?<", "(?P<"), address, re.IGNORECASE):
            return next(iter(match.groupdict().values())).lower()
    return address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        ("0", "203.0.113.9", "10.0.0.1"),
        ("1", "203.0.113.9", "203.0.113.9"),
        # What the client itself has written stands in front and is not believed.
        ("1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("2", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("2", "203.0.113.9", "10.0.0.1"),
        ("1", "203.0.113.9:40123", "203.0.113.9"),
    ],
)
def test_the_client_is_the_one_that_the_outermost_proxy_saw(
    start: Start, redis_client: redis.Redis, proxies: str, forwarded: str, client: str
) -> None:
    sender = start(PROXIES=proxies, RATE_LIMIT="3")
    sender.post("/notes", json=GOOD, headers={"X-Forwarded-For": forwarded}, environ_base={"REMOTE_ADDR": "10.0.0.1"})
    (key,) = redis_client.keys("tandem:rate:*")
    assert f"/{client}/" in str(key)


def test_every_response_has_security_headers(start: Start) -> None:
    client = start()
    paths = ["/", "/docs", "/healthz", "/nothing", "/notes", "/static/docs/docs.css", "/static/docs/none.css"]
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
    assert client.get("/notes").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("proxies", "strict"), [("0", False), ("1", True)])
def test_tls_is_demanded_only_where_a_proxy_has_it(start: Start, proxies: str, strict: bool) -> None:
    answer = start(PROXIES=proxies).get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert ("Strict-Transport-Security" in answer.headers) == strict


def test_a_static_file_is_kept_under_an_address_that_its_content_makes(start: Start) -> None:
    client = start()
    page = client.get("/").text
    address = next(part for part in page.split('"') if part.startswith("/static/notes/notes.css"))
    assert "?v=" in address

    assert client.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get(address.partition("?")[0]).headers["Cache-Control"] == "no-cache"
    assert client.get(address + "0").headers["Cache-Control"] == "no-cache"
    assert client.get("/static/notes/none.css?v=1").headers["Cache-Control"] == "no-store"


def test_a_view_that_breaks_is_answered_with_these_headers_as_well(application: Flask) -> None:
    @application.get("/broken")
    def broken() -> Any:
        raise ValueError("a secret")

    answer = application.test_client().get("/broken")

    assert_problem(answer, 500, "internal error")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
