"""Loading as Ollama does it: slow, broken off with its request, and again when a launch option differs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.translation.model.settings import Settings
from app.translation.tests.unit.model.test_model_misbehave import Answer, calls, raw_chat, read_until, serving
from tests.unit.harness import eventually

pytestmark = pytest.mark.slow

LOAD = 0.4


@pytest.fixture
def port() -> Iterator[int]:
    with serving(Settings(port=0, test_models=True, load=LOAD, delay=0.5, parallel=1)) as number:
        yield number


def preload(port: int, name: str = "apertium", **fields: Any) -> Answer:
    return Answer(port, name, messages=[], stream=False, **fields)


def loads(port: int) -> list[str]:
    return [line.split(" {")[0] for line in calls(port)["loads"]]


def test_a_model_is_loaded_once_with_the_same_options(port: int) -> None:
    assert preload(port, shift=False, options={"num_ctx": 2048}).first_byte >= LOAD
    assert Answer(port, "apertium", shift=False, options={"num_ctx": 2048, "num_predict": 9}).first_byte < LOAD
    assert calls(port)["loads"] == ["load apertium:latest {'num_ctx': 2048, 'shift': False}"]


@pytest.mark.parametrize("other", [{}, {"shift": False, "options": {"num_ctx": 1024}}])
def test_another_launch_option_loads_it_again(port: int, other: dict[str, Any]) -> None:
    preload(port, shift=False)
    preload(port, **other)
    assert loads(port) == ["load apertium:latest", "reload apertium:latest"]


def test_a_load_is_broken_off_when_its_request_closes(port: int) -> None:
    client = raw_chat(port, "apertium")
    eventually(lambda: loads(port))
    client.close()
    eventually(lambda: loads(port) == ["load apertium:latest", "aborting load of apertium:latest"])


def test_a_reload_waits_for_running_calls_and_keeps_others_from_being_loaded(port: int) -> None:
    preload(port)
    running = raw_chat(port, "apertium-slow-words")
    read_until(running, b"ONE")
    with running:
        began = time.monotonic()
        reload = threading.Thread(
            target=Answer, args=(port, "apertium-slow-words"), kwargs={"options": {"num_ctx": 1024}}
        )
        reload.start()
        eventually(lambda: "reload apertium-slow-words:latest" in loads(port))
        Answer(port, "apertium-echo")
        # The running call, the reload and its own load: none of them at the same time as another one.
        assert time.monotonic() - began > 2 * LOAD
    reload.join(10)


def test_a_request_beyond_the_slots_waits_without_a_byte(port: int) -> None:
    preload(port, "apertium-slow")
    with raw_chat(port, "apertium-slow") as first:
        eventually(lambda: calls(port)["chat"] == 1)
        second = Answer(port, "apertium-slow")
        read_until(first, b"stop")
    assert second.first_byte > 0.5
    assert calls(port)["most_running"] == 1
