"""Translations from the request to the result, by the offline model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from testcontainers.core.network import Network

from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.integration.containers import running
from tests.integration.tandem import await_true

Start = Callable[..., Tandem]


def test_a_text_is_translated(app: Tandem) -> None:
    accepted = app.translate("The house is beautiful.", source="en")
    assert accepted["status"] == "queued"

    ended = app.ended(accepted["id"])

    assert ended["translation"] == "La casa es bella."
    assert (ended["status"], ended["error"], ended["progress"]) == (
        "done",
        None,
        {"done": 1, "total": 1, "characters": 0},
    )
    assert accepted["created_at"] <= ended["started_at"] <= ended["finished_at"]


def measured(app: Tandem, name: str) -> float:
    """Return the sum of a metric over all its labels."""
    families = text_string_to_metric_families(app.request("GET", "/metrics").text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_calls_tokens_and_the_cache_are_counted(start: Start, model: Model) -> None:
    app = start(TRANSLATION_CACHE="1M").await_healthy()
    for _ in range(2):
        app.ended(app.translate("The house is beautiful.", source="en")["id"])

    await_true(lambda: measured(app, "translation_model_calls_total") == 1, seconds=10, what="one call to the model")
    await_true(lambda: measured(app, "translation_cache_lookups_total") == 2, seconds=10, what="two looks")
    assert measured(app, "translation_model_tokens_total") > 8
    assert measured(app, "translation_model_first_token_seconds_count") == 1
    assert measured(app, "translation_model_call_seconds_sum") > 0


@pytest.mark.parametrize(
    ("text", "source", "target", "expected"),
    [
        ("La casa es bella.", "es", "en", "The house is beautiful."),
        ("La maison est belle.", "fr", "es", "La casa es guapa."),
        ("La casa es bella.", "es", "fr", "La maison est belle."),
    ],
)
def test_the_offline_model_knows_more_pairs(app: Tandem, text: str, source: str, target: str, expected: str) -> None:
    assert app.ended(app.translate(text, target, source=source)["id"])["translation"] == expected


def test_a_missing_source_language_is_detected(app: Tandem) -> None:
    ended = app.ended(app.translate("La maison est belle et le jardin est grand.")["id"])
    assert (ended["source"], ended["source_detected"]) == ("fr", True)
    assert ended["translation"] == "La casa es guapa y el jardín es grande."


def test_fifty_paragraphs_keep_their_order_and_every_blank_line(app: Tandem) -> None:
    gaps = ["\n\n", "\n\n\n", "\n \n", "\r\n\r\n", "\n\n\t"]
    words = [f"The house number {number} is beautiful." for number in range(50)]
    text = "\n" + "".join(word + gaps[number % len(gaps)] for number, word in enumerate(words))

    ended = app.ended(app.translate(text, source="en")["id"])

    assert ended["status"] == "done"
    assert ended["progress"] == {"done": 50, "total": 50, "characters": 0}
    expected = [f"El número de casa {number} es bello." for number in range(50)]
    got = [part for part in re.split(r"(\s*\n\s*)", ended["translation"]) if part.strip()]
    assert len(got) == 50
    assert [re.findall(r"\d+", part) for part in got] == [[str(number)] for number in range(50)]
    assert got == expected
    # The text between the paragraphs is identical.
    assert (
        "\n" + "".join(word + gaps[number % len(gaps)] for number, word in enumerate(expected)) == ended["translation"]
    )


def test_a_model_that_is_not_pulled_fails_with_the_reason(app: Tandem) -> None:
    ended = app.ended(app.translate("Good morning.", source="en", model="gemma3:4b")["id"])

    assert ended["status"] == "failed"
    assert ended["error"] == "Ollama refused (404): model 'gemma3:4b' not found"


def test_an_unsupported_language_pair_fails_with_the_reason(app: Tandem) -> None:
    ended = app.ended(app.translate("Good morning.", "de", source="en")["id"])

    assert ended["status"] == "failed"
    assert "this offline model translates en→es" in ended["error"]


def test_a_busy_model_is_asked_again(app: Tandem) -> None:
    ended = app.ended(app.translate("The house is beautiful.", source="en", model="apertium-503-then-well")["id"])
    assert (ended["status"], ended["translation"], ended["error"]) == ("done", "La casa es bella.", None)


def test_without_ollama_the_web_works_and_the_reason_is_reported(start: Start) -> None:
    tandem = start(
        OLLAMA_URL="http://nowhere:11434", OLLAMA_PATIENCE="0", MAX_RETRIES="1", RETRY_DELAY="10"
    ).await_healthy()

    ended = tandem.ended(tandem.translate("Good morning.", source="en")["id"])
    assert ended["status"] == "failed"
    assert "Ollama at http://nowhere:11434 cannot be reached" in ended["error"]

    ready = tandem.request("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "warn"
    assert "http://nowhere:11434" in ready.json()["checks"]["model"]["detail"]
    code, output = tandem.run("queue", "health")
    assert code == 0
    assert re.search(r"^warn  model .*http://nowhere:11434", output, re.MULTILINE)


def test_a_missing_configured_model_is_reported_with_the_available_ones(start: Start, model: Model) -> None:
    tandem = start(OLLAMA_MODEL="gemma3:4b").await_healthy()

    detail = tandem.request("GET", "/readyz").json()["checks"]["model"]["detail"]
    assert detail.startswith(
        "Ollama at http://model:11434 does not have the model gemma3:4b: pull it, or set OLLAMA_MODEL"
    )
    assert "apertium:latest" in detail


def test_nothing_is_accepted_while_redis_is_stopped_and_it_recovers_afterwards(start: Start, model: Model) -> None:
    tandem = start().await_healthy()
    tandem.output("supervisorctl", "stop", "redis")

    answer = tandem.request("POST", "/translations", json={"text": "Good morning.", "source": "en", "target": "es"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    await_true(lambda: tandem.request("GET", "/readyz").status_code == 503, seconds=10, what="it is not ready")
    assert tandem.request("GET", "/healthz").status_code == 200

    code, output = tandem.run("queue", "translate", "Good morning.", "--from", "en", "--to", "es")
    assert code == 1
    assert output.startswith("Error: Redis does not answer: ") and output.count("\n") == 1

    tandem.output("supervisorctl", "start", "redis")
    assert tandem.redis("KEYS", "tandem:translation:*").strip() == ""
    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=20, what="healthy again")
    assert tandem.ended(tandem.translate("Good morning.", source="en")["id"])["status"] == "done"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/translations", b'{"text": "", "target": "es"}', 422),
        ("POST", "/translations", b'{"text": "Hi.", "target": "xx"}', 422),
        ("POST", "/translations", b"{", 400),
        ("PUT", "/translations", b"{}", 405),
        ("GET", "/translations/7", b"", 404),
        ("GET", "/nothing", b"", 404),
    ],
)
def test_invalid_input_gets_a_problem_document(app: Tandem, method: str, path: str, body: bytes, status: int) -> None:
    answer = app.request(method, path, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_queue_translate_waits_and_prints(app: Tandem) -> None:
    output = app.output("queue", "translate", "The house is beautiful.", "--from", "en", "--to", "es", "--wait")
    assert output == "La casa es bella.\n"

    queued = app.output("queue", "translate", "The house is beautiful.", "--from", "en", "--to", "es")
    (id_,) = re.findall(r"queued as (\S+)", queued)
    assert app.ended(id_)["status"] == "done"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Hi.", "--to", "xx"), "target 'xx' is not a supported language"),
        ((" ", "--to", "es"), "text is blank"),
        (("Hi.", "--to", "es", "--from", "es"), "give two different languages"),
    ],
)
def test_queue_translate_refuses_bad_input_in_one_line(app: Tandem, arguments: tuple[str, ...], sentence: str) -> None:
    code, output = app.run("queue", "translate", *arguments)

    assert code == 1
    assert len(output.splitlines()) == 1
    assert sentence in output


def test_a_stopping_worker_lets_its_message_finish(start: Start, model: Model) -> None:
    tandem = start(WORKERS="1").await_healthy()
    accepted = tandem.translate("Good morning.", source="en", model="apertium-slow")
    await_true(lambda: tandem.translation(accepted["id"])["status"] == "running", seconds=10, what="it runs")

    tandem.output("supervisorctl", "stop", "worker:*")

    assert tandem.translation(accepted["id"])["status"] == "done"
    assert "finishing 1 running messages" in tandem.output("supervisorctl", "tail", "worker:worker_00")


def test_a_failure_that_explains_itself_is_logged_in_one_line(start: Start, model: Model) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.ended(tandem.translate("Good morning.", source="en", model="apertium-404")["id"])

    (line,) = tandem.output("cat", "/var/log/supervisor/worker-00-error.log").splitlines()
    assert "gave up after attempt 1: ModelMissing: Ollama refused (404): model 'apertium-404' not found" in line


def paragraphs(tag: str, count: int) -> str:
    return "\n\n".join(f"The {tag} house number {number} is beautiful." for number in range(count))


def begun(tandem: Tandem, accepted: dict[str, Any]) -> None:
    def some_are_done() -> bool:
        return bool(tandem.translation(accepted["id"])["progress"]["done"] >= 3)

    await_true(some_are_done, seconds=30, what="some parts are done")


@pytest.fixture(scope="module")
def paced(network: Network) -> Iterator[Model]:
    """A model that takes 0.2 s for each part, and these tests alone use."""
    model = Model(network, alias="paced-model", MODEL_DELAY="0.2")
    running.append(model)
    yield model.start()
    running.remove(model)
    model.remove()


PACED = {"OLLAMA_URL": "http://paced-model:11434", "OLLAMA_MODEL": "apertium-fixed-latency", "WORKERS": "1"}


def calls_for(model: Model, tag: str) -> list[int]:
    return [count for text, count in model.calls()["texts"].items() if f"The {tag} house" in text]


def test_a_stopping_worker_hands_over_a_long_text_and_nothing_is_translated_twice(start: Start, paced: Model) -> None:
    tandem = start(**PACED).await_healthy()
    accepted = tandem.translate(paragraphs("handed", 40), source="en")
    begun(tandem, accepted)

    tandem.output("supervisorctl", "restart", "worker:*")
    assert tandem.translation(accepted["id"])["status"] != "done"

    assert tandem.ended(accepted["id"])["progress"] == {"done": 40, "total": 40, "characters": 0}
    assert calls_for(paced, "handed") == [1] * 40


def test_a_worker_killed_during_a_long_text_repeats_at_most_one_part(start: Start, paced: Model) -> None:
    tandem = start(**PACED).await_healthy()
    accepted = tandem.translate(paragraphs("killed", 40), source="en")
    begun(tandem, accepted)

    tandem.output("supervisorctl", "signal", "KILL", "worker:worker_00")

    assert tandem.ended(accepted["id"])["status"] == "done"
    calls = calls_for(paced, "killed")
    assert len(calls) == 40 and sum(calls) <= 41


def test_a_text_that_exceeds_the_time_limit_is_finished_over_several_deliveries(start: Start, paced: Model) -> None:
    tandem = start(**PACED, MESSAGE_TIME_LIMIT="4", OLLAMA_TIMEOUT="2").await_healthy()

    ended = tandem.ended(tandem.translate(paragraphs("long", 40), source="en")["id"])

    assert ended["status"] == "done"
    assert "the rest continues in a new delivery" in tandem.worker_log()
    assert calls_for(paced, "long") == [1] * 40
