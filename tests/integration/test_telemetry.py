"""Traces arrive at a receiver of OTLP, and dead letters at a Sentry, from the real image."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.integration.databases import TAG
from tests.integration.tandem import Tandem, await_true, locked_down

Start = Callable[..., Tandem]
IMAGE = f"tandem-tracedapp:{TAG}"

# Parses what arrives with the public packages of both protocols, and prints a line of JSON for each span and event.
RECEIVER = """
import gzip, json, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sentry_sdk.envelope import Envelope

printing = threading.Lock()

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        found = spans(body) if self.path == "/v1/traces" else events(body)
        # Two processes send at the same time, and print writes a line and its end separately.
        with printing:
            for line in found:
                print(json.dumps(line), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

def spans(body):
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
                yield {"span": span.name, "trace": span.trace_id.hex(), "id": span.span_id.hex(),
                       "parent": span.parent_span_id.hex(), "status": span.status.code, **attributes}

def events(body):
    for item in Envelope.deserialize(body).items:
        if item.type == "event":
            yield {"event": item.payload.json}

ThreadingHTTPServer(("", 4318), Handler).serve_forever()
"""


class Receiver:
    """Takes traces at /v1/traces and reports at any other path."""

    started = False

    def __init__(self, network: Network) -> None:
        container = DockerContainer(IMAGE).with_network(network).with_network_aliases("collector")
        self.container = locked_down(container.with_command(["python", "-uc", RECEIVER]), "collector")

    def lines(self) -> list[dict[str, Any]]:
        """Return what has arrived, without a line that is still being written."""
        docker: Container = self.container.get_wrapped_container()
        whole, _, _ = docker.logs(stderr=False).decode().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]


@pytest.fixture
def collector(network: Network) -> Iterator[Receiver]:
    receiver = Receiver(network)
    receiver.container.start()
    yield receiver
    receiver.container.stop(delete_volume=True)


def test_a_request_its_message_and_both_attempts_are_one_trace_and_one_report(
    collector: Receiver, start: Start
) -> None:
    tandem = start(
        image=IMAGE,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318",
        OTEL_BSP_SCHEDULE_DELAY="200",
        SENTRY_DSN="http://key@collector:4318/1",
        RETRY_DELAY="200",
        MAX_RETRIES="1",
    ).await_healthy()
    answer = tandem.request("POST", "/notes", json={"text": "break"})
    assert answer.status_code == 202

    def spans() -> list[dict[str, Any]]:
        """Return the spans of the trace of the request, if all of them have arrived."""
        found = [line for line in collector.lines() if "span" in line]
        asked = next((line for line in found if line["span"] == "POST /notes"), None)
        of_request = [line for line in found if asked and line["trace"] == asked["trace"]]
        return of_request if len(of_request) >= 4 else []

    found = {
        line["span"] + str(line.get("tandem.attempt", "")): line
        for line in await_true(spans, seconds=30, what="the trace")
    }
    request, sent = found["POST /notes"], found["send notes"]
    first, second = found["process notes1"], found["process notes2"]
    assert sent["parent"] == request["id"]
    assert first["parent"] == second["parent"] == sent["id"]
    assert (first["tandem.outcome"], second["tandem.outcome"]) == ("retried", "failed")
    assert request["http.response.status_code"] == 202
    assert f"trace_id={request['trace']}" in tandem.worker_log() + tandem.worker_log(1)

    (event,) = await_true(
        lambda: [line["event"] for line in collector.lines() if "event" in line], seconds=10, what="the report"
    )
    assert event["extra"]["attempts"] == 2
    assert event["tags"]["queue"] == "notes"


def test_a_collector_that_is_away_delays_neither_messages_nor_the_stop(start: Start) -> None:
    tandem = start(image=IMAGE, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", SENTRY_DSN="http://key@127.0.0.1:9/1")
    tandem.await_healthy()
    assert tandem.ended(tandem.hand_in("The house is beautiful."))["status"] == "done"
    tandem.docker.stop(timeout=30)
    assert tandem.docker.attrs["State"]["ExitCode"] == 0
