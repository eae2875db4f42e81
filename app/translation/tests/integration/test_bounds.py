"""Limits: calls to the model over all containers, queued translations, and one translation for each key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from testcontainers.core.network import Network

from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.integration.containers import running
from tests.integration.tandem import await_true

Start = Callable[..., Tandem]


@pytest.fixture
def slow_model(network: Network) -> Iterator[Model]:
    """A model with a fixed time for each call, used by these tests only."""
    model = Model(network, alias="slow-model", MODEL_DELAY="0.3")
    running.append(model)
    model.start()
    yield model
    running.remove(model)
    model.remove()


def test_calls_to_the_model_never_exceed_the_bound_over_all_containers_and_reach_it(
    redis_elsewhere: str, start_mixed: Start, slow_model: Model
) -> None:
    settings = {"REDIS_URL": f"redis://{redis_elsewhere}:6379/0", "OLLAMA_URL": "http://slow-model:11434"}
    settings |= {"OLLAMA_CONCURRENCY": "3", "OLLAMA_MODEL": "apertium-fixed-latency", "WORKERS": "2"}
    one, other = [start_mixed(**settings).await_healthy() for _ in range(2)]

    sent = [tandem.translate(f"Text {n}.", source="en")["id"] for n in range(15) for tandem in (one, other)]
    one.send("count", "other-work", "n", times=20)  # another queue does not wait for them

    await_true(
        lambda: one.output("redis-cli", "-h", redis_elsewhere, "LLEN", "other-work").strip() == "20",
        seconds=5,
        what="the other queue's messages",
    )
    assert all(one.ended(id_)["status"] == "done" for id_ in sent)
    assert slow_model.calls()["most_running"] == 3
    assert slow_model.calls()["chat"] == len(sent)


def test_the_slot_of_a_worker_killed_during_a_call_is_released(start: Start, slow_model: Model) -> None:
    settings = {"OLLAMA_URL": "http://slow-model:11434", "OLLAMA_MODEL": "apertium-fixed-latency", "WORKERS": "1"}
    tandem = start(OLLAMA_CONCURRENCY="1", **settings).await_healthy()
    sent = [tandem.translate(f"Text {n}.", source="en")["id"] for n in range(3)]
    await_true(lambda: tandem.translation(sent[0])["status"] == "running", seconds=10, what="the first one runs")

    tandem.output("supervisorctl", "signal", "KILL", "worker:worker_00")

    assert all(tandem.ended(id_)["status"] == "done" for id_ in sent)
    assert slow_model.calls()["most_running"] <= 2  # the killed one's call and the next one's


def test_a_full_queue_refuses_with_429_and_accepts_again_when_it_drains(start: Start) -> None:
    tandem = start(QUEUE_LIMIT="5").await_healthy()
    tandem.output("queue", "pause", "translations")
    ask = {"text": "Good morning.", "source": "en", "target": "es"}

    answers = [tandem.request("POST", "/translations", json=ask) for _ in range(7)]

    assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert "5 messages are waiting" in answers[-1].json()["detail"]
    assert tandem.redis("LLEN", "dramatiq:translations").strip() == "5"
    tandem.output("queue", "purge", "translations", "--force")
    assert tandem.request("POST", "/translations", json=ask).status_code == 202


def test_repeated_and_concurrent_requests_with_one_key_make_one_translation(app: Tandem) -> None:
    ask = {"text": "Good morning.", "source": "en", "target": "es"}

    def post(_: int) -> str:
        answer = app.request("POST", "/translations", json=ask, headers={"Idempotency-Key": "at-once-on-the-image"})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(12) as threads:
        ids = set(threads.map(post, range(24)))

    assert len(ids) == 1
    assert app.ended(ids.pop())["status"] == "done"
