"""A chapter of a book, despite killed workers: every paragraph is in its place, and none is translated twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from app.translation import documents
from app.translation.documents.placeholders import protect
from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from app.translation.tests.paths import DATA
from tests.integration.tandem import await_true

Start = Callable[..., Tandem]

CHAPTER = DATA / "chapter.txt"
LANGUAGES = {"source": "en", "target": "es"}
SECONDS = 300


@pytest.fixture(scope="module")
def own_model(network: Any) -> Any:
    """A model used by this module only, so that it counts only these calls."""
    model = Model(network, alias="book-model")
    yield model.start()
    model.remove()


def paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def parts_of(text: str) -> Counter[str]:
    """Count the expected questions to the model: short parts such as "Fig. 3." occur more than once."""
    protected = [protect(chunk.text) for chunk in documents.read(text, "text", budget=documents.CHUNK_TOKENS).chunks]
    return Counter(part.text for part in protected if part.has_words)


def kill_worker(tandem: Tandem, number: int) -> None:
    pid = tandem.output("supervisorctl", "pid", f"worker:worker_{number:02}").strip()
    tandem.output("sh", "-c", f"kill -9 {pid}")


def test_a_chapter_survives_two_killed_workers_and_nothing_is_translated_twice(start: Start, own_model: Model) -> None:
    text = CHAPTER.read_text(encoding="utf-8")
    assert len(text.split()) >= 30_000
    tandem = start(OLLAMA_URL="http://book-model:11434", WORKERS="1").await_healthy()
    id_ = tandem.translate(text, **LANGUAGES)["id"]
    seen: list[int] = []

    def done_at_least(share: float) -> bool:
        now = tandem.translation(id_)
        assert now["status"] in ("queued", "running", "done"), now
        seen.append(now["progress"]["done"])
        return bool(now["progress"]["total"] and seen[-1] >= share * now["progress"]["total"])

    for share in (0.3, 0.6):
        await_true(partial(done_at_least, share), seconds=SECONDS, what=f"{share:.0%} of the chapter")
        kill_worker(tandem, 0)
    await_true(lambda: done_at_least(1), seconds=SECONDS, what="the whole chapter")
    ended = tandem.ended(id_)

    assert ended["status"] == "done"
    assert seen == sorted(seen)
    calls, parts = Counter(own_model.calls()["texts"]), parts_of(text)
    assert not parts - calls
    # Only the part that was being translated when its worker died is started again.
    again = calls - parts
    assert again.total() <= 2
    print(f"{len(text.split()):,} words, {parts.total()} parts, {calls.total()} calls, {again.total()} of them again")
    assert_same_paragraphs(own_model, text, ended)


def assert_same_paragraphs(model: Model, text: str, ended: dict[str, Any]) -> None:
    """Check each part in its place, the text between the parts, and the model's answer to the part alone."""
    source, result = paragraphs(text), paragraphs(ended["translation"])
    assert len(result) == len(source)
    assert re.findall(r"\n\s*\n", result_text := ended["translation"]) == re.findall(r"\n\s*\n", text), result_text[
        :200
    ]
    untouched = {problem["source"] for problem in ended["problems"]}
    plain = [
        (before, after)
        for before, after in zip(source, result, strict=True)
        if re.fullmatch(r"[A-Za-z ,.;\n]{80,1200}", before) and not any(part in before for part in untouched)
    ]
    assert len(plain) > 10
    for before, after in plain:
        assert after == model.translate(before), before


def test_with_the_cache_a_repeated_part_is_translated_once(start: Start, own_model: Model) -> None:
    text = "\n\n".join(["The red house is very old and very small."] * 10 + ["The garden is full of yellow flowers."])
    with_cache = start(OLLAMA_URL="http://book-model:11434", TRANSLATION_CACHE="1M").await_healthy()

    first = with_cache.ended(with_cache.translate(text, **LANGUAGES)["id"])
    again = with_cache.ended(with_cache.translate(text, **LANGUAGES)["id"])

    assert first["translation"] == again["translation"]
    assert first["progress"]["done"] == 11
    calls = own_model.calls()["texts"]
    assert [calls[part] for part in dict.fromkeys(text.split("\n\n"))] == [1, 1]


def test_without_the_cache_every_part_is_translated(start: Start, own_model: Model) -> None:
    part = "The blue house is very old and very small."
    without = start(OLLAMA_URL="http://book-model:11434", TRANSLATION_CACHE="0").await_healthy()

    without.ended(without.translate("\n\n".join([part] * 3), **LANGUAGES)["id"])

    assert own_model.calls()["texts"][part] == 3


@pytest.mark.parametrize("name", ["slow", "slow-words"])
def test_a_cancelled_translation_ends_the_call_at_the_model(start: Start, own_model: Model, name: str) -> None:
    tandem = start(OLLAMA_URL="http://book-model:11434", OLLAMA_CONCURRENCY="1", WORKERS="1").await_healthy()
    text = f"The {name} house is beautiful. " * 20
    gone = own_model.calls()["gone"]
    id_ = tandem.translate(text, model=f"apertium-{name}", **LANGUAGES)["id"]
    await_true(lambda: text.strip() in own_model.calls()["texts"], seconds=20, what="a call at the model")

    answer = tandem.request("DELETE", f"/translations/{id_}")

    assert answer.status_code == 202
    assert answer.json()["status"] == "cancelled"
    await_true(lambda: own_model.calls()["gone"] > gone, seconds=3, what="the end of the call")
    # The model's only slot is free for the next call.
    assert tandem.ended(tandem.translate("Good morning.", **LANGUAGES)["id"])["status"] == "done"
    assert tandem.translation(id_)["status"] == "cancelled"
    assert tandem.request("DELETE", f"/translations/{id_}").status_code == 409
    assert "queue failed" not in tandem.output("queue", "failed", "show")


def test_a_queued_translation_can_be_cancelled_and_never_starts(start: Start, own_model: Model) -> None:
    tandem = start(OLLAMA_URL="http://book-model:11434").await_healthy()
    tandem.output("queue", "pause", "translations")
    id_ = tandem.translate("The house that is cancelled.", **LANGUAGES)["id"]

    assert tandem.request("DELETE", f"/translations/{id_}").status_code == 202
    tandem.output("queue", "resume", "translations")

    tandem.ended(tandem.translate("Good morning.", **LANGUAGES)["id"])
    assert "The house that is cancelled." not in own_model.calls()["texts"]


def test_characters_of_the_part_in_progress_are_reported(start: Start, own_model: Model) -> None:
    tandem = start(OLLAMA_URL="http://book-model:11434").await_healthy()
    id_ = tandem.translate("The house is beautiful. " * 40, model="apertium-slow-words", **LANGUAGES)["id"]

    def characters() -> int:
        return int(tandem.translation(id_)["progress"]["characters"])

    first = await_true(characters, seconds=20, what="characters")
    await_true(lambda: characters() > first, seconds=20, what="more characters")
    assert httpx.delete(f"{tandem.url}/translations/{id_}", trust_env=False).status_code == 202
