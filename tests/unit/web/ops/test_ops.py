"""The operations page, without a browser: who gets in, what it shows, what it does, and what it refuses."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis
from fakeredis import FakeServer
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tandem import runtime
from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.config import settings
from tandem.operate import action_log
from tandem.schedules.schedule import Definition
from tandem.schedules.store import ScheduleStore
from tandem.web.ops import access
from tests.unit.harness import outcome

TOKEN, READ_TOKEN = "operator-token-0123456789", "reader-token-0123456789"


@pytest.fixture
def visit(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FlaskClient]]:
    """Return a client of an application with these settings, signed in with a token if one is given."""
    from tandem.web.application import create_app

    def start(token: str = "", **variables: str) -> FlaskClient:
        chosen = {"OPS_TOKEN": TOKEN, "OPS_READ_TOKEN": READ_TOKEN, "RATE_LIMIT": "0", **variables}
        for name, value in chosen.items():
            monkeypatch.setenv(name, value)
        settings.reset()
        client = create_app().test_client()
        if token:
            assert client.post("/ops/login", data={"token": token}).status_code == 303
        return client

    yield start
    settings.reset()


@pytest.fixture
def broker(redis_client: redis.Redis) -> Broker:
    return runtime.configure(settings.current())


@pytest.fixture
def operator(visit: Callable[..., FlaskClient]) -> FlaskClient:
    return visit(TOKEN)


def put(broker: Broker, *ids: str, queue: str = "mail", actor: str = "deliver", delay: int | None = None) -> None:
    for id_ in ids:
        message: Any = dramatiq.Message(queue, actor, (id_,), {"password": "hunter2"}, {}, message_id=id_)
        broker.enqueue(message, delay=delay)


def fail(broker: Broker, *ids: str, error: str = "TimeoutError", queue: str = "mail") -> None:
    put(broker, *ids, queue=queue)
    deliveries, _ = broker.store.claim_batch([queue], 500)
    for one in deliveries:
        options = {"attempts": [{"at": "2026-12-01T00:00:00Z", "worker": "w", "error": error, "message": "no answer"}]}
        message: Any = dramatiq.Message.decode(one.payload)
        payload = message.copy(options={**options, "traceback": "Traceback: <b>"}).encode()
        broker.store.ack(queue, [outcome(one, "failed", payload=payload, detail=f"deliver\t{error}", actor="deliver")])


def text(answer: TestResponse) -> str:
    return answer.get_data(as_text=True)


# --- who gets in ----------------------------------------------------------------------------------------------------


def test_without_a_token_it_is_closed_and_says_how_to_open_it(visit: Callable[..., FlaskClient]) -> None:
    client = visit(OPS_TOKEN="", OPS_READ_TOKEN="")
    for path in ("/ops", "/ops/messages", "/ops/login", "/ops/events"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "OPS_TOKEN" in text(answer)
    assert client.post("/ops/do", data={"action": "stop-workers"}).status_code == 404


@pytest.mark.parametrize("path", ["/ops", "/ops/messages", "/ops/message?id=a", "/ops/log", "/ops/send", "/ops/events"])
def test_nobody_sees_anything_without_signing_in(visit: Callable[..., FlaskClient], path: str) -> None:
    answer = visit().get(path)
    assert (answer.status_code, "Sign in" in text(answer)) == (401, True)


def test_a_header_opens_it_as_well(visit: Callable[..., FlaskClient]) -> None:
    client = visit()
    assert client.get("/ops", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    wrong = client.get("/ops", headers={"Authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.mimetype) == (401, "application/problem+json")


def test_the_cookie_cannot_be_read_sent_from_elsewhere_or_forged(visit: Callable[..., FlaskClient]) -> None:
    client = visit()
    (cookie,) = client.post("/ops/login", data={"token": TOKEN}).headers.getlist("Set-Cookie")
    assert {"HttpOnly", "SameSite=Strict", "Path=/ops"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    for forged in ("", "x", cookie.split("=", 1)[1].split(";")[0] + "x", '["ops"]'):
        client.set_cookie(access.COOKIE, forged, path="/ops")
        assert client.get("/ops").status_code == 401


def test_a_new_token_signs_everybody_out(visit: Callable[..., FlaskClient]) -> None:
    cookie = visit(TOKEN).get_cookie(access.COOKIE, path="/ops")
    assert cookie is not None
    other = visit(OPS_TOKEN=f"{TOKEN}-of-tomorrow")
    other.set_cookie(access.COOKIE, cookie.value, path="/ops")
    assert other.get("/ops").status_code == 401


def test_the_sentence_cookie_is_no_way_in(visit: Callable[..., FlaskClient], broker: Broker) -> None:
    client = visit(TOKEN)
    put(broker, "a")
    done = client.post("/ops/do", data={"action": "pause", "queue": "mail"})
    said = next(one for one in done.headers.getlist("Set-Cookie") if one.startswith("tandem-ops-said"))
    other = visit()
    other.set_cookie(access.COOKIE, said.split("=", 1)[1].split(";")[0], path="/ops")
    assert other.get("/ops").status_code == 401


def test_guessing_is_limited(visit: Callable[..., FlaskClient]) -> None:
    client = visit()
    codes = [client.post("/ops/login", data={"token": f"wrong-token-{number:08}"}).status_code for number in range(25)]
    assert (codes[0], codes[-1]) == (401, 429)
    assert client.post("/ops/login", data={"token": TOKEN}).status_code == 429


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/ops\\..\\x", "/opsx", "/ops/../x", "javascript:x", ""]
)
def test_signing_in_leads_nowhere_else(visit: Callable[..., FlaskClient], target: str) -> None:
    answer = visit().post("/ops/login", data={"token": TOKEN, "next": target})
    assert answer.headers["Location"] == "/ops"


def test_another_sites_page_can_do_nothing(operator: FlaskClient, broker: Broker) -> None:
    put(broker, "a")
    answer = operator.post(
        "/ops/do", data={"action": "pause", "queue": "mail"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    assert not broker.client.smembers(keys.PAUSED)


def test_the_token_for_looking_changes_nothing(visit: Callable[..., FlaskClient], broker: Broker) -> None:
    client = visit(READ_TOKEN)
    fail(broker, "dead")
    put(broker, "waits")
    page = text(client.get("/ops/messages?state=failed"))
    assert "looking only" in page
    assert "<button>Retry" not in page
    before = {key: broker.client.dump(key) for key in broker.client.keys("dramatiq:*")}
    for action in ("retry", "remove", "cancel", "run", "retry-all", "remove-all", "cancel-all", "pause", "purge"):
        form = {"action": action, "id": "dead", "queue": "mail", "state": "failed", "confirmed": "yes"}
        assert client.post("/ops/do", data=form).status_code == 403
    assert client.post("/ops/send", data={"actor": "anything"}).status_code in (403, 404)
    assert {key: broker.client.dump(key) for key in broker.client.keys("dramatiq:*")} == before


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_an_empty_application_says_so(operator: FlaskClient) -> None:
    page = text(operator.get("/ops"))
    assert "All is well." in page
    assert "No worker is running." in page
    assert "No failed messages." in text(operator.get("/ops/messages?state=failed"))
    assert "No failed messages." in text(operator.get("/ops/failures"))
    assert "Nobody has done anything so far." in text(operator.get("/ops/actions"))


def test_the_first_thing_that_is_not_well_is_named_with_what_to_do(operator: FlaskClient, broker: Broker) -> None:
    put(broker, "a", "b")
    operator.post("/ops/do", data={"action": "pause", "queue": "mail"})
    page = text(operator.get("/ops"))
    assert "mail is paused: 2 messages of mail wait." in page
    assert "queue resume mail" in page


@pytest.mark.parametrize("state", ["ready", "delayed", "running", "failed", "handled"])
def test_messages_of_every_state_are_listed(operator: FlaskClient, broker: Broker, state: str) -> None:
    fail(broker, "the-failed-one")
    put(broker, "the-running-one")
    broker.store.claim_batch(["mail"], 1)
    broker.store.heartbeat('{"running": []}')
    put(broker, "the-ready-one")
    put(broker, "the-delayed-one", delay=60_000)
    expected = "the-failed-one" if state == "handled" else f"the-{state}-one"
    page = text(operator.get(f"/ops/messages?state={state}"))
    assert f">{expected}<" in page
    assert "hunter2" not in page


def test_one_message_has_its_attempts_and_hides_what_is_secret(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, "dead")
    page = text(operator.get("/ops/message?id=dead"))
    assert "no answer" in page
    assert "Traceback: &lt;b&gt;" in page
    assert "Show the arguments" in page
    assert "hunter2" not in page
    shown = text(operator.get("/ops/message?id=dead&arguments=show"))
    assert "&#34;password&#34;: &#34;••••••&#34;" in shown
    assert "hunter2" not in shown


def test_failures_are_grouped_and_each_button_carries_its_count(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, *[f"t{number}" for number in range(13)])
    fail(broker, "v", error="ValueError")
    page = text(operator.get("/ops/failures"))
    assert "TimeoutError \N{MULTIPLICATION SIGN} 13" in page
    assert ">Retry 13<" in page
    assert ">Remove 1<" in page


def test_the_filter_is_in_the_address_and_a_text_is_found(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, "alpha", "beta")
    page = text(operator.get("/ops/messages?state=failed&text=alph"))
    assert ">alpha<" in page
    assert ">beta<" not in page
    assert "1 failed message." in page


def test_names_of_any_bytes_are_shown_and_found(operator: FlaskClient, broker: Broker) -> None:
    broker.declare_queue("mail")
    broker.client.rpush(keys.ready("mail"), b"\xff<script>")
    broker.client.hset(keys.payloads("mail"), b"\xff<script>", b"\xff\xfe")
    broker.client.sadd(keys.QUEUES, "mail")
    page = operator.get("/ops/messages?state=ready")
    assert page.status_code == 200
    link = re.search(r'href="(/ops/message\?id=[^"]*)"', text(page))
    assert link
    assert operator.get(link[1]).status_code == 200
    assert act(operator, "cancel", id=link[1].partition("=")[2], confirmed="yes").status_code == 303
    assert broker.client.hlen(keys.payloads("mail")) == 0
    assert "<script>" not in text(page).replace('<script type="module"', "")
    assert operator.get("/ops").status_code == 200


def test_a_reader_cannot_guess_hidden_arguments_by_searching(visit: Callable[..., FlaskClient], broker: Broker) -> None:
    client = visit(READ_TOKEN)
    fail(broker, "dead")
    put(broker, "waits")
    for state, id_ in (("failed", "dead"), ("ready", "waits")):
        assert f">{id_}<" not in text(client.get(f"/ops/messages?state={state}&text=hunter"))
    assert ">dead<" in text(client.get("/ops/messages?state=failed&text=dea"))


def test_commands_can_be_pasted_whatever_the_names_are(operator: FlaskClient, broker: Broker) -> None:
    put(broker, "x", actor="$(reboot); x")
    deliveries, _ = broker.store.claim_batch(["mail"], 1)
    broker.store.ack("mail", [outcome(one, "failed", detail="$(reboot); x\tE", actor="x") for one in deliveries])
    for path in ("/ops/failures", "/ops/messages?state=failed&actor=%24%28reboot%29%3B+x"):
        page = html.unescape(text(operator.get(path)))
        commands = re.findall(r"<code[^>]*>(queue [^<]*)</code>", page)
        assert commands
        assert all("$(reboot)" not in command.replace("'$(reboot); x'", "") for command in commands), commands
    found = text(operator.get("/ops/messages?state=failed&text=x"))
    assert "--all" not in html.unescape(found)


@pytest.mark.parametrize("timestamp", [1.7e18, -1e18, 0, "soon", None, 10**400, float("nan"), float("inf"), True])
def test_a_time_that_a_sender_has_invented_spoils_no_page(
    operator: FlaskClient, broker: Broker, timestamp: Any
) -> None:
    payload = {"queue_name": "mail", "actor_name": "deliver", "args": ["\ud800"], "kwargs": {}, "options": {}}
    content = json.dumps({**payload, "message_id": "odd", "message_timestamp": timestamp}).encode()
    broker.client.sadd(keys.QUEUES, "mail")
    broker.client.rpush(keys.ready("mail"), "odd")
    broker.client.hset(keys.payloads("mail"), "odd", content)
    for path in ("/ops", "/ops/messages?state=ready", "/ops/message?id=odd", "/ops/message?id=odd&arguments=show"):
        assert operator.get(path).status_code == 200, path


def test_a_password_of_a_proxy_in_front_is_not_ours(operator: FlaskClient) -> None:
    assert operator.get("/ops", headers={"Authorization": "Basic dXNlcjpwYXNz"}).status_code == 200


# --- what it does ----------------------------------------------------------------------------------------------------


def act(client: FlaskClient, action: str, **fields: str) -> TestResponse:
    return client.post("/ops/do", data={"action": action, **fields})


def test_a_failed_message_is_retried_once_whoever_asks(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, "dead")
    assert act(operator, "retry", id="dead", queue="mail").status_code == 303
    assert "The message was retried." in text(operator.get("/ops"))
    second = act(operator, "retry", id="dead", queue="mail")
    assert (second.status_code, "removed or retried meanwhile" in text(second)) == (409, True)
    assert broker.client.llen(keys.ready("mail")) == 1


def test_what_destroys_asks_first_with_what_is_gone(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, "a", "b", "c")
    asked = act(operator, "remove-all", state="failed", error="TimeoutError")
    assert asked.status_code == 200
    assert "Remove 3 failed messages? They are gone then" in text(asked)
    assert broker.client.zcard(keys.dead("mail")) == 3
    assert act(operator, "remove-all", state="failed", error="TimeoutError", confirmed="yes").status_code == 303
    assert broker.client.zcard(keys.dead("mail")) == 0


def test_an_action_on_a_filter_leaves_what_it_does_not_find(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, *[f"t{number}" for number in range(250)])
    fail(broker, "v", error="ValueError")
    assert act(operator, "retry-all", state="failed", error="TimeoutError").status_code == 303
    assert "250 messages were retried." in text(operator.get("/ops"))
    assert broker.client.llen(keys.ready("mail")) == 250
    assert broker.client.zrange(keys.dead("mail"), 0, -1) == [b"v"]


def test_what_failed_after_the_page_was_made_stays(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, "old")
    until = str(broker.dead_letters.now())
    broker.client.zadd(keys.dead("mail"), {"old": int(until) - 5})
    fail(broker, "new")
    broker.client.zadd(keys.dead("mail"), {"new": int(until) + 5})
    act(operator, "remove-all", state="failed", until=until, confirmed="yes")
    assert broker.client.zrange(keys.dead("mail"), 0, -1) == [b"new"]


def test_waiting_messages_are_canceled_and_run(operator: FlaskClient, broker: Broker) -> None:
    put(broker, "a", "b")
    put(broker, "later", delay=60_000)
    assert act(operator, "run", id="later").status_code == 303
    assert broker.client.lrange(keys.ready("mail"), 0, -1) == [b"later", b"a", b"b"]
    assert act(operator, "cancel", id="a").status_code == 200  # asks
    assert act(operator, "cancel", id="a", confirmed="yes").status_code == 303
    assert act(operator, "cancel", id="a", confirmed="yes").status_code == 409
    assert act(operator, "cancel-all", state="ready", confirmed="yes").status_code == 303
    assert broker.client.hlen(keys.payloads("mail")) == 0


def test_queues_are_paused_resumed_and_emptied(operator: FlaskClient, broker: Broker) -> None:
    put(broker, "a", "b")
    assert act(operator, "pause", queue="mail").status_code == 303
    assert act(operator, "pause", queue="mail").status_code == 409
    assert act(operator, "resume", queue="mail").status_code == 303
    assert "Remove 2 messages that wait in mail?" in text(act(operator, "purge", queue="mail"))
    assert act(operator, "purge", queue="mail", confirmed="yes").status_code == 303
    assert act(operator, "purge", queue="mail", confirmed="yes").status_code == 409
    assert act(operator, "pause", queue="nothing").status_code == 404


def test_a_purge_that_takes_too_long_stops_and_says_that_there_is_more(
    operator: FlaskClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(broker, "a", "b")
    monkeypatch.setattr("tandem.operate.control.BATCH", 1)
    monkeypatch.setattr("tandem.web.ops.actions.MOST_SECONDS", -1.0)
    act(operator, "purge", queue="mail", confirmed="yes")
    assert "1 message of mail removed; running and failed ones stay. There are more: press again" in text(
        operator.get("/ops")
    )


def test_every_action_is_in_the_action_log(operator: FlaskClient, broker: Broker) -> None:
    fail(broker, "a", "b")
    act(operator, "retry-all", state="failed", actor="deliver")
    act(operator, "pause", queue="mail")
    newest, before = action_log.newest(broker.client)
    assert (newest.who, newest.what, newest.about, newest.count) == ("ops", "pause", "mail", 1)
    assert (before.what, before.about, before.count) == ("retry-all", "--state failed --actor deliver", 2)
    assert "retry-all" in text(operator.get("/ops/actions"))


@dramatiq.actor(queue_name="ops-tests")
def greet(name: str, times: int = 1) -> None: ...


@pytest.fixture
def declared(broker: Broker) -> Iterator[str]:
    broker.declare_actor(greet)
    yield greet.actor_name
    broker.actors.pop(greet.actor_name, None)


def test_a_message_is_sent_by_a_form_made_from_the_actor(operator: FlaskClient, broker: Broker, declared: str) -> None:
    page = text(operator.get(f"/ops/send?actor={declared}"))
    assert "name: text" in page
    assert "times: int, as JSON, or empty for the default" in page
    sent = operator.post("/ops/send", data={"actor": declared, "argument-name": "Ada", "argument-times": "2"})
    assert sent.status_code == 303
    (payload,) = broker.client.hvals(keys.payloads("ops-tests"))
    assert b'"kwargs":{"name":"Ada","times":2}' in payload


def test_a_schedule_is_run_paused_and_resumed(operator: FlaskClient, broker: Broker, declared: str) -> None:
    message = {"queue_name": "ops-tests", "actor_name": declared, "args": ["Ada"], "kwargs": {}, "options": {}}
    ScheduleStore(broker.client).add(Definition("nightly", message, cron="15 3 * * *"))
    page = text(operator.get("/ops"))
    assert "nightly" in page
    assert "queue schedules run nightly" in page
    assert act(operator, "run-schedule", name="nightly").status_code == 303
    assert broker.client.llen(keys.ready("ops-tests")) == 1
    assert act(operator, "pause-schedule", name="nightly").status_code == 303
    assert act(operator, "pause-schedule", name="nightly").status_code == 409
    assert act(operator, "resume-schedule", name="nightly").status_code == 303
    assert act(operator, "run-schedule", name="nothing").status_code == 404


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"argument-name": "Ada", "argument-times": "many"}, "times: many is not JSON"),
        ({"argument-name": "Ada", "argument-times": '"2"'}, "times: &#34;2&#34; is invalid: expected a whole number"),
        ({"argument-name": "Ada", "argument-times": "1, 2"}, "times: 1, 2 is not JSON"),
        ({"argument-name": "Ada", "delay": "soon"}, "the delay soon is invalid"),
        ({"argument-name": "Ada", "delay": "8d"}, "the delay 8d is invalid"),
    ],
)
def test_invalid_arguments_are_refused_beside_the_form(
    operator: FlaskClient, broker: Broker, declared: str, fields: dict[str, str], reason: str
) -> None:
    answer = operator.post("/ops/send", data={"actor": declared, **fields})
    assert (answer.status_code, reason in text(answer)) == (422, True), text(answer)
    assert broker.client.hlen(keys.payloads("ops-tests")) == 0


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ops/messages?state=lost", 422),
        ("/ops/messages?queue=nothing", 422),
        ("/ops/messages?state=ready&error=X", 422),
        ("/ops/messages?after=xyz", 422),
        ("/ops/messages?text=" + "x" * 300, 422),
        ("/ops/message?id=nothing", 404),
        ("/ops/message", 404),
        ("/ops/log?worker=x&level=y", 200),
        ("/ops/send?actor=nothing", 200),
        ("/ops/nothing", 404),
    ],
)
def test_what_cannot_be_is_one_sentence(operator: FlaskClient, path: str, status: int) -> None:
    answer = operator.get(path)
    assert answer.status_code == status
    assert "Traceback" not in text(answer)


def test_all_that_a_filter_finds_is_canceled_however_many(operator: FlaskClient, broker: Broker) -> None:
    put(broker, *[f"m{number}" for number in range(2500)])
    assert "Cancel 2,500 messages?" in text(act(operator, "cancel-all", state="ready"))
    act(operator, "cancel-all", state="ready", confirmed="yes")
    assert "2,500 messages were canceled." in text(operator.get("/ops"))
    assert act(operator, "cancel-all", state="running").status_code == 422


def test_a_kind_without_a_name_has_no_button_that_means_all(operator: FlaskClient, broker: Broker) -> None:
    put(broker, "a", actor="")
    deliveries, _ = broker.store.claim_batch(["mail"], 1)
    broker.store.ack("mail", [outcome(one, "failed", detail="\tActorNotFound", actor="?") for one in deliveries])
    page = text(operator.get("/ops/failures"))
    assert "ActorNotFound" in page
    assert "--all" not in page


@pytest.mark.parametrize("until", ["-1", "x", "1e99", "9" * 30])
def test_a_time_of_the_page_that_is_none_is_refused(operator: FlaskClient, broker: Broker, until: str) -> None:
    fail(broker, "a")
    assert act(operator, "retry-all", state="failed", until=until).status_code == 422
    assert broker.client.zcard(keys.dead("mail")) == 1


@pytest.mark.parametrize("action", ["", "drop", "__class__"])
def test_an_unknown_action_does_nothing(operator: FlaskClient, action: str) -> None:
    assert act(operator, action).status_code == 404


def test_while_redis_is_away_the_page_says_so_and_comes_back(
    operator: FlaskClient, redis_server: FakeServer, broker: Broker
) -> None:
    redis_server.connected = False
    for answer in (operator.get("/ops"), operator.get("/ops/messages"), act(operator, "pause", queue="mail")):
        assert (answer.status_code, "Redis does not answer" in text(answer)) == (503, True)
    redis_server.connected = True
    assert operator.get("/ops").status_code == 200


def test_a_page_that_nobody_uses_makes_no_broker(visit: Callable[..., FlaskClient]) -> None:
    client: Any = visit()
    assert client.get("/healthz").status_code == 200
