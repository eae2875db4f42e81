"""Translations wait for an unreachable model without using up a retry, and continue by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.integration.tandem import await_true

Start = Callable[..., Tandem]
NewModel = Callable[..., Model]

ABSENCE = 20.0
QUEUED = 40


def test_forty_translations_outlast_twenty_seconds_without_a_model(start: Start, new_model: NewModel) -> None:
    model = new_model("lost-model")
    tandem = start(OLLAMA_URL="http://lost-model:11434").await_healthy()
    began = time.monotonic()
    ids = [tandem.translate(f"The house number {number} is beautiful.", source="en")["id"] for number in range(QUEUED)]

    def reasons() -> bool:
        seen = [tandem.translation(id_) for id_ in ids]
        return all(one["status"] == "queued" and "waits for the model apertium" in (one["error"] or "") for one in seen)

    await_true(reasons, seconds=30, what="each says what it waits for")
    await_true(lambda: time.monotonic() - began > ABSENCE, seconds=ABSENCE + 5, what="the absence")
    assert tandem.request("GET", "/readyz").json()["checks"]["model"]["status"] == "warn"
    model.start()

    ended = [tandem.ended(id_, seconds=90) for id_ in ids]
    assert [(one["status"], one["error"]) for one in ended] == [("done", None)] * QUEUED
    assert model.calls()["chat"] == QUEUED
    assert "attempt 1 failed" not in tandem.worker_log(0) + tandem.worker_log(1)


def test_a_translation_fails_with_the_reason_after_its_patience(start: Start, new_model: NewModel) -> None:
    new_model("never-model")
    tandem = start(OLLAMA_URL="http://never-model:11434", OLLAMA_PATIENCE="3").await_healthy()

    ended = tandem.ended(tandem.translate("The house is beautiful.", source="en")["id"])

    assert ended["status"] == "failed"
    assert "it has waited for 3 s (OLLAMA_PATIENCE)" in ended["error"]
    assert "OutOfPatience" in tandem.output("queue", "failed", "show")
