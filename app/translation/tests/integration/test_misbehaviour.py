"""The outcome of a misbehaving model: each row of the table in docs/misbehaviour.md, on real containers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from testcontainers.core.network import Network

from app.translation.model.kinds import Misbehaviour
from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from app.translation.tests.paths import DOCS
from tests.integration.containers import running

DOCUMENT = DOCS / "misbehaviour.md"
_ROW = re.compile(r"\| `([\w-]+)` \|[^|]*\| (\d+) \| (\w+)(?:, `(\w+)`)? \|([^|]*)\|")
ROWS = {kind: row for kind, *row in _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))}
SECONDS = 300


def letter(kind: str) -> list[str]:
    """Return two paragraphs that are unique to this misbehaviour."""
    number = list(Misbehaviour).index(Misbehaviour(kind)) + 100
    return [
        f"Good morning, {{name}}! The red house number {number} is very beautiful today, and we have two cats in it.",
        f"Yesterday I read {number} pages of a good book about the sea, and then I went to the old city with them.",
    ]


@pytest.fixture(scope="module")
def own_model(network: Network) -> Iterator[Model]:
    """A model used by this module only, so that it counts only these calls."""
    model = Model(network, alias="bad-model", MODEL_DELAY="1", MODEL_FAILURES="1")
    running.append(model)
    yield model.start()
    running.remove(model)
    model.remove()


@contextmanager
def translated(network: Network, kinds: Sequence[Misbehaviour], timeout: str) -> Iterator[dict[str, dict[str, Any]]]:
    """Run a translation by each model concurrently, and return them when all have ended."""
    settings = {"OLLAMA_URL": "http://bad-model:11434", "OLLAMA_MODELS": "*", "OLLAMA_TIMEOUT": timeout}
    tandem = Tandem(network, settings | {"RETRY_DELAY": "100"})
    running.append(tandem)
    try:
        tandem.start().await_healthy()
        ids = {str(kind): asked(tandem, kind) for kind in kinds}
        yield {kind: tandem.ended(id_, seconds=SECONDS) for kind, id_ in ids.items()}
    finally:
        running.remove(tandem)
        tandem.remove()


@pytest.fixture(scope="module")
def ended(network: Network, own_model: Model) -> Iterator[dict[str, dict[str, Any]]]:
    """Return the ended translation of each model. The one that stalls has a short timeout."""
    others = [kind for kind in Misbehaviour if kind is not Misbehaviour.STALL]
    with (
        translated(network, others, timeout="60") as by_others,
        translated(network, [Misbehaviour.STALL], timeout="3") as by_stall,
    ):
        yield by_others | by_stall


def asked(tandem: Tandem, kind: str) -> str:
    return str(tandem.translate("\n\n".join(letter(kind)), source="en", model=f"apertium-{kind}")["id"])


def test_the_table_has_every_misbehaviour() -> None:
    assert set(ROWS) == set(Misbehaviour)


@pytest.mark.parametrize("kind", list(Misbehaviour))
def test_each_misbehaviour_has_the_documented_outcome(
    kind: str, ended: dict[str, dict[str, Any]], own_model: Model
) -> None:
    calls, status, problem, sentence = ROWS[kind]
    seen = ended[kind]

    assert seen["status"] == status, seen
    assert {found["kind"] for found in seen["problems"]} == ({problem} if problem else set())
    error = seen["error"] or " ".join(found["detail"] for found in seen["problems"])
    assert all(piece in error for piece in sentence.strip().split("…"))
    first = letter(kind)[0].replace("{name}", "⟦1⟧")
    assert own_model.calls()["texts"].get(first, 0) == int(calls)


@pytest.mark.parametrize("kind", [kind for kind, row in ROWS.items() if row[1] == "done" and kind != "fixed-latency"])
def test_a_done_translation_has_every_paragraph_and_every_placeholder(
    kind: str, ended: dict[str, dict[str, Any]]
) -> None:
    paragraphs = ended[kind]["translation"].split("\n\n")

    assert len(paragraphs) == 2
    assert "{name}" in paragraphs[0]
    assert ("ciudad" in paragraphs[1]) == (kind != "echo")
    assert not {"think", "Note", "Here is", '"'} & set(re.findall(r"think|Note|Here is|\"", "".join(paragraphs)))
