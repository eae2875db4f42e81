"""The workload of webhooks on the real image."""

from __future__ import annotations

from tests.integration.containers import Start
from tests.integration.tandem import APP_IMAGE, await_true


def test_an_event_is_delivered_again_until_its_receiver_answers(start: Start) -> None:
    tandem = start(image=APP_IMAGE, WORKERS="1").await_healthy()

    tandem.output("queue", "send", "deliver", '["http://127.0.0.1:9/hook", {"id": "7"}]')

    await_true(
        lambda: (
            "attempt 1 failed, retrying in" in tandem.worker_log()
            and "the receiver does not answer" in tandem.worker_log()
        ),
        seconds=10,
        what="a retry",
    )
