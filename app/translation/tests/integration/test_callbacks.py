"""Callbacks from the request to the receiver: signed, only where they may go, and never lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from app.translation.tests.paths import DOCS
from tests.integration.tandem import Receiver, await_true

Start = Callable[..., Tandem]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
GUIDE = DOCS / "callbacks.md"


def verified(headers: dict[str, str], body: bytes) -> bool:
    """Verify a call as the guide tells receivers to."""
    (lines,) = re.findall(r"```python\n(import base64.*?)```", GUIDE.read_text(), re.DOTALL)
    room: dict[str, Any] = {}
    exec(lines, room)  # noqa: S102
    return bool(room["verify"](SECRET, headers, body))


def posts_about(receiver: Receiver, id_: str) -> list[tuple[dict[str, str], bytes]]:
    return [post for post in receiver.posts() if json.loads(post[1]).get("data", {}).get("id") == id_]


def await_post(receiver: Receiver, id_: str) -> tuple[dict[str, str], bytes]:
    """Return the first post about a translation."""
    return await_true(lambda: posts_about(receiver, id_), seconds=60, what="the call")[0]


def test_the_receiver_gets_the_translation_signed(start: Start, model: Model, receiver: Receiver) -> None:
    tandem = start(CALLBACK_SECRET=SECRET, CALLBACK_PRIVATE="1").await_healthy()
    good = tandem.translate("The house is beautiful.", source="en", callback_url=receiver.url)["id"]
    bad = tandem.translate("Good morning.", source="en", model="apertium-404", callback_url=receiver.url)["id"]

    for id_, status in ((good, "done"), (bad, "failed")):
        headers, body = await_post(receiver, id_)
        assert verified(headers, body)
        assert json.loads(body)["type"] == f"translation.{status}"
        assert json.loads(body)["data"] == tandem.translation(id_)
    assert SECRET not in tandem.logs()


def test_a_receiver_that_is_down_and_then_busy_is_called_again_with_the_same_id(
    start: Start, model: Model, late_receiver: Receiver
) -> None:
    tandem = start(CALLBACK_SECRET=SECRET, CALLBACK_PRIVATE="1", WORKERS="1").await_healthy()
    id_ = tandem.translate("Good morning.", source="en", callback_url="http://late-receiver:8080/busy")["id"]
    await_true(lambda: "the receiver does not answer" in tandem.worker_log(), seconds=60, what="a first try")

    late_receiver.start()

    await_true(lambda: len(posts_about(late_receiver, id_)) == 2, seconds=90, what="the call and its repetition")
    first, second = posts_about(late_receiver, id_)
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert verified(*first) and verified(*second)
    assert first[1] == second[1]


def test_a_receiver_in_a_private_network_is_not_called_unless_that_is_allowed(
    start: Start, model: Model, receiver: Receiver
) -> None:
    tandem = start(CALLBACK_SECRET=SECRET, WORKERS="1").await_healthy()
    id_ = tandem.translate("Good morning.", source="en", callback_url=receiver.url)["id"]

    def dead_letters() -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = json.loads(tandem.output("queue", "failed", "show", "--json"))
        return letters

    await_true(dead_letters, seconds=60, what="the refused call")
    (letter,) = dead_letters()
    assert "which is not a public address" in json.dumps(letter)
    assert tandem.translation(id_)["status"] == "done"
    assert posts_about(receiver, id_) == []


def test_no_call_is_lost_when_a_worker_is_killed_right_after_the_end(
    start_mixed: Start, model: Model, receiver: Receiver
) -> None:
    settings = {"CALLBACK_SECRET": SECRET, "CALLBACK_PRIVATE": "1", "WORKERS": "1", "DIE_AT_FIRST_END": "1"}
    tandem = start_mixed(**settings).await_healthy()

    id_ = tandem.translate("The house is beautiful.", source="en", callback_url=receiver.url)["id"]

    headers, body = await_post(receiver, id_)
    assert "requeued 1 messages of translations" in tandem.worker_log()
    assert verified(headers, body)
    assert json.loads(body)["data"]["translation"] == "La casa es bella."
    assert len({headers["webhook-id"] for headers, _ in posts_about(receiver, id_)}) == 1
