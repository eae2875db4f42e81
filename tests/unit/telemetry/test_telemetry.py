"""Traces and reports of messages and requests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import sentry_sdk
from fakeredis import FakeRedis
from flask.testing import FlaskClient
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sentry_sdk.transport import Transport

from tandem import telemetry
from tandem.broker.broker import Broker
from tandem.broker.telemetry import TRACEPARENT
from tandem.config import settings
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError
from tandem.telemetry.sentry import Sentry
from tandem.telemetry.tracing import Tracing
from tandem.worker.executor import Executor
from tests.paths import ROOT
from tests.unit.harness import broker_on


class Kept(Transport):
    """Keeps the events that would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events += [item.payload.json for item in envelope.items]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    yield InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Tracing:
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _provider: None)
    made = Tracing(Settings.read({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}))
    made._provider.shutdown()
    made._provider = type(made._provider)()
    made._provider.add_span_processor(SimpleSpanProcessor(spans))
    made._tracer = made._provider.get_tracer("test")
    return made


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    return broker_on(redis_, max_retries=1)


def finished(spans: InMemorySpanExporter) -> list[Any]:
    """Return the spans that have ended."""
    return list(spans.get_finished_spans())


def run_one(broker: Broker) -> Any:
    """Run the message that is due, and store its outcome."""
    deliveries, _ = broker.store.claim_batch(sorted(broker.get_declared_queues()), 1)
    if not deliveries:
        return None
    outcome = Executor(broker).run(deliveries[0])
    broker.store.ack(outcome.delivery.queue, [outcome])
    return outcome


def test_sending_and_every_attempt_are_one_trace(
    broker: Broker, tracing: Tracing, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    @dramatiq.actor(broker=broker, queue_name="mail", max_retries=1, min_backoff=1)
    def deliver() -> None:
        raise RuntimeError("no answer")

    broker.tracing = tracing
    with tracing.request("POST", "/notes", {}) as request:
        sent = deliver.send()
        request.answered(202)
    while (outcome := run_one(broker)) is None or outcome.result != "failed":
        pass
    first, second = (span for span in finished(spans) if span.name == "process mail")
    (sending,) = (span for span in finished(spans) if span.name == "send mail")
    (asking,) = (span for span in finished(spans) if span.name == "POST /notes")
    assert len({span.context.trace_id for span in (first, second, sending, asking)}) == 1
    assert sending.parent.span_id == asking.context.span_id
    assert first.parent.span_id == second.parent.span_id == sending.context.span_id
    assert sending.attributes["messaging.message.id"] == first.attributes["messaging.message.id"] == sent.message_id
    assert [span.attributes["tandem.attempt"] for span in (first, second)] == [1, 2]
    assert [span.attributes["tandem.outcome"] for span in (first, second)] == ["retried", "failed"]
    assert (first.attributes["error.type"], first.status.status_code) == ("RuntimeError", StatusCode.ERROR)
    assert asking.attributes["http.response.status_code"] == 202


@pytest.mark.parametrize("value", [5, None, "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", ["x"]])
def test_a_trace_that_is_invalid_begins_a_new_one(
    broker: Broker, tracing: Tracing, spans: InMemorySpanExporter, value: object
) -> None:
    @dramatiq.actor(broker=broker)
    def work() -> None: ...

    broker.enqueue(dramatiq.Message("default", "work", (), {}, {TRACEPARENT: value}))
    broker.tracing = tracing
    assert run_one(broker).result == "completed"
    (span,) = finished(spans)
    assert span.parent is None


def test_a_line_of_the_log_has_its_trace(
    broker: Broker, tracing: Tracing, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tandem import logs

    seen = []

    @dramatiq.actor(broker=broker)
    def work() -> None:
        seen.append(dict(logs._context.get() or {}))

    broker.tracing = tracing
    work.send()
    run_one(broker)
    (span,) = (span for span in finished(spans) if span.name == "process default")
    assert seen[0]["trace_id"] == trace.format_trace_id(span.context.trace_id)
    assert seen[0]["actor"] == "work"
    assert logs._context.get() is None


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sentry, Kept]]:
    kept, init = Kept(), sentry_sdk.init
    monkeypatch.setattr(sentry_sdk, "init", lambda dsn, **options: init(dsn, transport=kept, **options))
    yield Sentry(Settings.read({"SENTRY_DSN": "https://key@sentry.example.org/1"})), kept
    monkeypatch.setattr(sentry_sdk, "init", init)
    sentry_sdk.init()


def test_each_dead_letter_is_one_event_without_arguments(broker: Broker, sentry: tuple[Sentry, Kept]) -> None:
    @dramatiq.actor(broker=broker, max_retries=1, min_backoff=1)
    def charge(card: str) -> None:
        raise RuntimeError("no answer")

    reporter, kept = sentry
    broker.reporter = reporter
    card = "-".join(["4111"] * 2)
    sent = charge.send(card)
    while (outcome := run_one(broker)) is None or outcome.result != "failed":
        assert outcome is None or outcome.report is None
    reporter.send(outcome.report)
    (event,) = kept.events
    assert event["tags"] == {"actor": "charge", "queue": "default", "worker": "host:worker_00"}
    assert event["extra"] == {"message_id": sent.message_id, "attempts": 2}
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert card not in str(event)


def test_a_message_that_cannot_be_decoded_is_reported(broker: Broker, sentry: tuple[Sentry, Kept]) -> None:
    broker.declare_queue("default")
    broker.store.enqueue("default", "odd", b"\xff", None)
    broker.reporter, kept = sentry
    outcome = run_one(broker)
    broker.reporter.send(outcome.report)
    assert kept.events[0]["extra"]["message_id"] == "odd"


@pytest.mark.parametrize(
    ("setting", "value", "module", "extra"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "tandem.telemetry.tracing", "tracing"),
        ("SENTRY_DSN", "https://key@sentry.example.org/1", "tandem.telemetry.sentry", "sentry"),
    ],
)
def test_a_missing_package_is_one_line_that_says_what_to_do(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError) as raised:
        telemetry.attach(broker, Settings.read({setting: value}))
    (line,) = raised.value.lines
    assert line.startswith(f"{setting} is set, but the package ")
    assert f"EXTRAS={extra}" in line


@pytest.mark.parametrize(
    ("setting", "value"), [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"), ("SENTRY_DSN", "sentry.example.org")]
)
def test_an_address_that_is_none_stops_the_start(setting: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{setting}=.* is invalid: expected http"):
        Settings.read({setting: value})


def test_without_the_settings_nothing_is_imported() -> None:
    code = "import sys; from tandem.runtime import configure; from tandem.config import settings; "
    code += "configure(settings.current()); import tandem.worker.main, tandem.web.application; "
    # redis-py imports the interface of OpenTelemetry where it is installed.
    code += "names = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'sentry_sdk', 'prometheus_client'); "
    code += "assert not [m for m in sys.modules if m.startswith(names)]"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_an_unforeseen_error_of_the_web_is_reported_once(
    redis_client: FakeRedis, sentry: tuple[Sentry, Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tandem import runtime
    from tandem.web.application import create_app

    reporter, kept = sentry
    settings.reset()
    app = create_app()
    monkeypatch.setattr(runtime.get_broker(), "reporter", reporter)

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("a defect")

    answered: FlaskClient = app.test_client()
    assert answered.get("/broken").status_code == 500
    assert answered.get("/nothing").status_code == 404
    (event,) = kept.events
    assert event["tags"]["route"] == "/broken"
