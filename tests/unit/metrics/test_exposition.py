"""What /metrics answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakeredis import FakeRedis
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as OwnCounter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tandem.broker import totals
from tandem.config import settings
from tandem.metrics import Counter, instruments
from tandem.metrics.exposition import Sources, render
from tandem.web import metrics
from tests.paths import ROOT
from tests.unit.harness import broker_on, outcome, send

TEXT, OPENMETRICS = "text/plain", "application/openmetrics-text; version=1.0.0"
CALLS = Counter("shop_calls", "Calls.", ("model",))


@pytest.fixture
def sources(redis_: FakeRedis) -> Sources:
    """The figures of a queue on which messages ended in each way."""
    broker = broker_on(redis_)
    send(broker, "a", "b", "c", "d")
    deliveries, _ = broker.store.claim_batch(["default"], 3)
    first, second, third = deliveries
    broker.store.ack(
        "default",
        [
            outcome(first, "completed", waited=0.02, ran=0.004),
            outcome(second, "retried", waited=0.0, ran=2.0),
            outcome(third, "failed", waited=3600.0, ran=0.25),
        ],
    )
    CALLS.add(3, model="small")
    instruments.flush(redis_)
    own = OwnCounter("shop_own", "Of a workload's own.", registry=CollectorRegistry())
    own.inc()
    return Sources(redis_, {"work": "default"}, instruments=[CALLS], collectors=[own])


def samples(body: bytes, *, openmetrics: bool = False) -> dict[tuple[str, ...], float]:
    """Name and values of labels -> value."""
    families = (parse_openmetrics if openmetrics else parse)(body.decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
def test_messages_are_counted_by_outcome_and_time(sources: Sources, accept: str) -> None:
    body, content_type = render(sources, accept)
    assert content_type.startswith(accept.split(";")[0])
    found = samples(body, openmetrics=accept == OPENMETRICS)
    for ending in totals.OUTCOMES:
        assert found["tandem_messages_total", "work", ending, "default"] == 1
    assert found["tandem_message_wait_seconds_bucket", "work", "0.01", "default"] == 1
    assert found["tandem_message_wait_seconds_bucket", "work", "0.025", "default"] == 2
    assert found["tandem_message_wait_seconds_bucket", "work", "1800.0", "default"] == 2
    assert found["tandem_message_wait_seconds_bucket", "work", "+Inf", "default"] == 3
    assert found["tandem_message_run_seconds_sum", "work", "default"] == pytest.approx(2.254)
    assert found["tandem_message_run_seconds_count", "work", "default"] == 3
    assert found["tandem_queue_ready", "default"] == 1
    assert found["tandem_queue_delayed", "default"] == 1
    assert found["tandem_queue_failed", "default"] == 1
    assert found["shop_calls_total", "small"] == 3
    assert found["shop_own_total",] == 1


def test_dramatiqs_names_are_there_as_well(sources: Sources) -> None:
    found = samples(render(sources, TEXT, of_dramatiq=True)[0])
    assert found["dramatiq_messages_total", "work", "default"] == 3
    assert found["dramatiq_message_errors_total", "work", "default"] == 2
    assert found["dramatiq_message_retries_total", "work", "default"] == 1
    assert found["dramatiq_message_rejects_total", "work", "default"] == 1
    assert found["dramatiq_message_duration_milliseconds_bucket", "work", "5.0", "default"] == 1
    assert found["dramatiq_message_duration_milliseconds_sum", "work", "default"] == pytest.approx(2254)


def test_totals_are_bounded_against_invented_actors(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "LUA", totals.LUA.replace(f"{totals.MAX_ACTORS}, ", "3, ", 1))
    broker = broker_on(redis_)
    for number in range(200):
        send(broker, str(number))
        deliveries, _ = broker.store.claim_batch(["default"], 1)
        broker.store.ack("default", [outcome(deliveries[0], "completed", actor=f"invented\t{number}\n" + "x" * 500)])
    found = totals.totals(redis_, ["default"])["default"]
    assert sum(total.outcomes["completed"] for total in found.values()) == 200
    assert totals.OTHER in found
    assert len(found) == 4
    assert max(map(len, found)) <= 120


def test_a_time_that_a_sender_has_invented_does_not_overflow_the_sums(sources: Sources) -> None:
    broker = broker_on(sources.client)
    send(broker, "x")
    deliveries, _ = broker.store.claim_batch(["default"], 1)
    broker.store.ack("default", [outcome(deliveries[0], "completed", waited=1.7e15)])
    assert totals.totals(sources.client, ["default"])["default"]["work"].wait.seconds < 1e7


def test_the_last_handled_messages_are_known_and_bounded(sources: Sources) -> None:
    newest, *_, oldest = totals.handled(sources.client)
    assert (oldest.outcome, oldest.id, oldest.actor, oldest.queue, oldest.ran) == (
        "completed",
        "a",
        "work",
        "default",
        0.004,
    )
    assert (newest.outcome, newest.error, newest.worker) == ("failed", "Error", "host:worker_00")


def test_while_redis_is_away_the_container_still_answers(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis_.connection_pool.connection_kwargs["server"].connected = False
    found = samples(render(Sources(redis_, {}), TEXT)[0])
    assert found["tandem_redis_up",] == 0
    assert found["tandem_container_memory_bytes",] > 0


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    value = "metrics-token-0123456789"
    monkeypatch.setenv("METRICS_TOKEN", value)
    settings.reset()
    yield value
    settings.reset()


def test_with_a_token_of_its_own_only_that_one_opens_it(token: str, client: FlaskClient) -> None:
    missing = client.get("/metrics")
    assert (missing.status_code, missing.mimetype) == (401, "application/problem+json")
    assert "METRICS_TOKEN" in missing.get_json()["detail"]
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/metrics/dramatiq", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_requests_are_counted_by_route_and_not_by_path(client: FlaskClient, redis_client: FakeRedis) -> None:
    for path in ("/healthz", "/healthz", "/nothing/here", "/nothing/else"):
        client.get(path)
    instruments.flush(redis_client)
    found = samples(client.get("/metrics").data)
    assert found["tandem_http_requests_total", "GET", "/healthz", "200"] >= 2
    assert found["tandem_http_requests_total", "GET", "(none)", "404"] >= 2
    assert not [key for key in found if "/nothing/here" in key]


def test_the_page_of_metrics_names_all_of_them_and_no_other(sources: Sources) -> None:
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `((?:tandem|dramatiq)_\w+)`", text, re.MULTILINE))
    http = [metrics.REQUESTS, metrics.SECONDS]
    bodies = [
        render(replace(sources, instruments=http, collectors=[]), TEXT)[0],
        render(sources, TEXT, of_dramatiq=True)[0],
    ]
    answered = {line.split()[2] for body in bodies for line in body.decode().splitlines() if line.startswith("# TYPE")}
    # Only with a database, on a disk that is there, and of a Redis that tells more than the one of unit tests.
    elsewhere = {name for name in documented if name.startswith(("tandem_outbox_", "tandem_disk_", "tandem_redis_"))}
    assert documented - elsewhere == answered - elsewhere
    assert "tandem_redis_up" in answered
