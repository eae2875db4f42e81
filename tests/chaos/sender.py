"""Sends messages as a careful client does: again and again until each was accepted."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.plan import Message
from tests.integration.tandem import Tandem

THREADS = 4
TIMEOUT = 8.0
AGAIN_AFTER = 0.2
# A client that is refused for longer than this has found a service that did not come back.
PATIENCE = 90.0
NO_ANSWER = (httpx.HTTPError, OSError)


def paragraphs(message: Message) -> tuple[str, str]:
    """The text of a translation, its own alone, and what the offline model makes of it."""
    number, count = int(message.id.rpartition("-")[2]), message.arguments[0]
    parts = [number * 10 + part for part in range(count)]
    return (
        "\n\n".join(f"The house number {part} is beautiful." for part in parts),
        "\n\n".join(f"El número de casa {part} es bello." for part in parts),
    )


@dataclass
class Sent:
    """What became of the sending: which requests took several tries, and what nobody should have answered."""

    accepted: dict[str, Message] = field(default_factory=dict)
    resent: set[str] = field(default_factory=set)
    translations: dict[str, str] = field(default_factory=dict)
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Sender:
    """Takes requests, each a batch of messages or one translation, and sends them to whichever container answers."""

    def __init__(self, tandems: list[Tandem]) -> None:
        self.sent = Sent()
        self._tandems = tandems
        self._urls = [tandem.url for tandem in tandems]
        self._requests: queue.SimpleQueue[list[Message] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._send_all, args=[n], daemon=True) for n in range(THREADS)]
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begins to send, and to look at the translations."""
        for thread in (*self._threads, self._watcher):
            thread.start()

    def send(self, request: list[Message]) -> None:
        """Sends this as soon as a thread is free."""
        self._requests.put(request)

    def finish(self) -> None:
        """Waits until everything was accepted."""
        for _ in self._threads:
            self._requests.put(None)
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Looks no more."""
        self._over.set()
        self._watcher.join()

    def translation(self, id_: str, *, tries: int = 1) -> dict[str, Any] | None:
        """The document of a translation; None when nobody answers."""
        for number in range(tries):
            answer = self._request(number, "GET", f"/translations/{id_}")
            if answer is not None and answer.status_code == 200:
                return dict(answer.json())
            if answer is not None and answer.status_code == 404:
                self._note(f"translation {id_} was accepted and is not there")
                return None
            if number + 1 < tries:
                time.sleep(AGAIN_AFTER)
        return None

    def _send_all(self, number: int) -> None:
        while (request := self._requests.get()) is not None:
            self._insist(number, request)

    def _insist(self, number: int, request: list[Message]) -> None:
        until = time.monotonic() + PATIENCE
        tries = 0
        while time.monotonic() < until:
            answer = self._post(number + tries, request)
            tries += 1
            if answer is not None and answer.status_code == 202:
                self._accept(request, answer, tries)
                return
            with self._lock:
                self.sent.refusals["no answer" if answer is None else str(answer.status_code)] += 1
            if answer is not None and (answer.status_code not in (429, 503) or "retry-after" not in answer.headers):
                # Whoever is refused is told by whom and when to come again, not shown a bug.
                self._note(f"{request[0].id} was answered with {answer.status_code}: {answer.text[:300]}")
            time.sleep(AGAIN_AFTER)
        self._note(f"{', '.join(message.id for message in request)} found nobody who took them for {PATIENCE:.0f} s")

    def _accept(self, request: list[Message], answer: httpx.Response, tries: int) -> None:
        with self._lock:
            for message in request:
                self.sent.accepted[message.id] = message
                if tries > 1:
                    self.sent.resent.add(message.id)
            if request[0].kind == "translate":
                self.sent.translations[request[0].id] = answer.json()["id"]

    def _post(self, number: int, request: list[Message]) -> httpx.Response | None:
        first = request[0]
        if first.kind == "translate":
            body = {"text": paragraphs(first)[0], "source": "en", "target": "es"}
            return self._request(number, "POST", "/translations", json=body, headers={"Idempotency-Key": first.id})
        batch = [(one.actor, [one.id, *one.arguments], one.delay) for one in request]
        return self._request(number, "POST", "/load", json=batch)

    def _request(self, number: int, method: str, path: str, **options: Any) -> httpx.Response | None:
        which = number % len(self._urls)
        try:
            return httpx.request(method, self._urls[which] + path, timeout=TIMEOUT, trust_env=False, **options)
        except NO_ANSWER:
            self._look_up(which)
            return None

    def _look_up(self, which: int) -> None:
        """Docker publishes another port when a container has started again."""
        try:
            self._urls[which] = self._tandems[which].url
        except Exception:
            # It is down, and has none.
            return

    def _watch(self) -> None:
        number = 0
        while not self._over.wait(0.05):
            with self._lock:
                waiting = [id_ for id_ in self.sent.translations.values() if id_ not in self.sent.done]
            if not waiting:
                continue
            number += 1
            id_ = waiting[number % len(waiting)]
            seen = self.translation(id_)
            if seen and seen["status"] == "done":
                with self._lock:
                    self.sent.done[id_] = seen

    def _note(self, text: str) -> None:
        with self._lock:
            self.sent.wrong.append(text)
