"""Models at the container's start are awaited, pulled and loaded, and the progress is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.integration.tandem import await_true

Start = Callable[..., Tandem]
NewModel = Callable[..., Model]


def prepared(tandem: Tandem) -> str:
    """Return the log of the program `init`."""
    return tandem.output("cat", "/var/log/supervisor/init.log")


def await_the_end(tandem: Tandem) -> None:
    await_true(lambda: tandem.states()["init"] == "EXITED", seconds=90, what="everything is prepared")
    code, output = tandem.run("queue", "health")
    assert code == 0
    assert re.search(r"^ok    init +EXITED .*, has done its work$", output, re.MULTILINE)


def shown(tandem: Tandem) -> dict[str, Any]:
    answer = tandem.request("GET", "/models")
    assert answer.status_code == 200
    models: dict[str, Any] = answer.json()
    return models


def test_a_missing_model_is_pulled_and_its_progress_is_shown_everywhere(start: Start, new_model: NewModel) -> None:
    model = new_model("absent-model", MODEL_DELAY="25").start()
    settings = {"OLLAMA_URL": "http://absent-model:11434", "OLLAMA_MODEL": "apertium-absent", "OLLAMA_PULL": "1"}
    tandem = start(**settings, OLLAMA_MODELS="apertium").await_healthy()

    def pulling() -> str:
        detail: str = tandem.request("GET", "/readyz").json()["checks"]["model"]["detail"]
        return detail if "%" in detail else ""

    detail = await_true(pulling, seconds=30, what="the pull's progress")
    assert re.fullmatch(r"pulling apertium-absent: \d+ % of \d+ MB", detail)
    seen = shown(tandem)
    assert seen["models"][0] == {"name": "apertium-absent", "available": False, "default": True}
    assert seen["pull"]["model"] == "apertium-absent"
    assert 0 <= seen["pull"]["completed"] < seen["pull"]["total"]
    assert tandem.run("queue", "health")[0] == 0
    early = tandem.translate("The house is beautiful.", source="en")

    await_the_end(tandem)
    lines = [line for line in tandem.docker.logs().decode().splitlines() if line.startswith("init")]
    assert len([line for line in lines if re.search(r"pulling apertium-absent: \d+ % of", line)]) >= 10
    assert re.search(r"the model apertium-absent was loaded in \d+\.\d s", "\n".join(lines))
    assert re.search(r"POST /api/chat 200 \d+ ms apertium-absent", model.logs())
    assert shown(tandem)["pull"] is None
    await_true(
        lambda: [entry["available"] for entry in shown(tandem)["models"]] == [True, True],
        seconds=20,
        what="both models are there",
    )
    assert tandem.request("GET", "/readyz").json()["checks"]["model"]["status"] == "ok"
    for accepted in (early, tandem.translate("The house is beautiful.", source="en")):
        ended = tandem.ended(accepted["id"])
        assert (ended["model"], ended["translation"]) == ("apertium-absent", "La casa es bella.")


def test_an_interrupted_pull_is_retried(start: Start, new_model: NewModel) -> None:
    new_model("cut-model", MODEL_DELAY="2").start()
    settings = {"OLLAMA_URL": "http://cut-model:11434", "OLLAMA_MODEL": "apertium-absent-cut", "OLLAMA_PULL": "1"}
    tandem = start(**settings).await_healthy()

    await_the_end(tandem)

    assert "cannot be reached or hung up" in prepared(tandem)
    assert "the model apertium-absent-cut was loaded in" in prepared(tandem)
    assert tandem.ended(tandem.translate("Good morning.", source="en")["id"])["status"] == "done"


def test_a_server_that_starts_later_is_awaited(start: Start, new_model: NewModel) -> None:
    model = new_model("late-model")
    tandem = start(OLLAMA_URL="http://late-model:11434").await_healthy()
    await_true(lambda: "failed to list its models" in prepared(tandem), seconds=30, what="it is waited for")
    assert shown(tandem)["models"] == [{"name": "apertium", "available": False, "default": True}]

    model.start()

    await_the_end(tandem)
    assert "the model apertium was loaded in" in prepared(tandem)


def test_without_the_setting_nothing_is_pulled_and_the_log_has_the_command(start: Start, model: Model) -> None:
    tandem = start(OLLAMA_MODEL="apertium-absent").await_healthy()

    await_the_end(tandem)

    (line,) = prepared(tandem).splitlines()
    assert "does not have the model apertium-absent: run `ollama pull apertium-absent` there" in line
    assert "/api/pull" not in model.logs()


def test_a_container_stopped_during_a_pull_stops_immediately(start: Start, new_model: NewModel) -> None:
    new_model("slow-model", MODEL_DELAY="600").start()
    settings = {"OLLAMA_URL": "http://slow-model:11434", "OLLAMA_MODEL": "apertium-absent", "OLLAMA_PULL": "1"}
    tandem = start(**settings).await_healthy()
    await_true(lambda: "pulling apertium-absent" in prepared(tandem), seconds=30, what="the pull")

    tandem.docker.stop(timeout=30)

    assert tandem.docker.attrs["State"]["ExitCode"] == 0
    assert "SIGKILL" not in tandem.docker.logs().decode()
