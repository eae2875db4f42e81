"""Send messages as a careful client does: retry until each is accepted."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.plan import Message
from tests.integration.tandem import Tandem, http_request

THREADS = 4
TIMEOUT = 8.0
BACKOFF = 0.2
# Seconds after which a client gives up: the service has not recovered.
MAX_RETRY_SECONDS = 90.0
NO_ANSWER = (httpx.HTTPError, OSError)


def written(message: Message) -> tuple[str, str]:
    """Return the unique text of a note, and the result of the worker."""
    text = " ".join(f"{message.id} word {number}" for number in range(message.arguments[0]))
    return text, text.upper()


@dataclass
class Sent:
    """The outcome of sending: accepted messages, those sent more than once, and wrong responses."""

    accepted: dict[str, Message] = field(default_factory=dict)
    resent: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Sender:
    """Sends requests, each a batch of messages or one note, to any container that responds."""

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
        """Start sending, and polling the notes."""
        for thread in (*self._threads, self._watcher):
            thread.start()

    def send(self, request: list[Message]) -> None:
        """Send a request as soon as a thread is free."""
        self._requests.put(request)

    def finish(self) -> None:
        """Wait until everything is accepted."""
        for _ in self._threads:
            self._requests.put(None)
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Stop polling."""
        self._over.set()
        self._watcher.join()

    def note(self, id_: str, *, tries: int = 1) -> dict[str, Any] | None:
        """Return the current state of a note; None if no container answers."""
        for number in range(tries):
            answer = self._request(number, "GET", f"/notes/{id_}")
            if answer is not None and answer.status_code == 200:
                return dict(answer.json())
            if answer is not None and answer.status_code == 404:
                self._record(f"note {id_} was accepted but not found")
                return None
            if number + 1 < tries:
                time.sleep(BACKOFF)
        return None

    def _send_all(self, number: int) -> None:
        while (request := self._requests.get()) is not None:
            self._retry(number, request)

    def _retry(self, number: int, request: list[Message]) -> None:
        until = time.monotonic() + MAX_RETRY_SECONDS
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
                # A refusal has to say when to retry; anything else is a bug.
                self._record(f"{request[0].id} was answered with {answer.status_code}: {answer.text[:300]}")
            time.sleep(BACKOFF)
        self._record(f"{', '.join(message.id for message in request)} not accepted within {MAX_RETRY_SECONDS:.0f} s")

    def _accept(self, request: list[Message], answer: httpx.Response, tries: int) -> None:
        with self._lock:
            for message in request:
                self.sent.accepted[message.id] = message
                if tries > 1:
                    self.sent.resent.add(message.id)
            if request[0].kind == "note":
                self.sent.notes[request[0].id] = answer.json()["id"]

    def _post(self, number: int, request: list[Message]) -> httpx.Response | None:
        first = request[0]
        if first.kind == "note":
            body = {"text": written(first)[0]}
            return self._request(number, "POST", "/notes", json=body, headers={"Idempotency-Key": first.id})
        batch = [(one.actor, [one.id, *one.arguments], one.delay) for one in request]
        return self._request(number, "POST", "/load", json=batch)

    def _request(self, number: int, method: str, path: str, **options: Any) -> httpx.Response | None:
        which = number % len(self._urls)
        try:
            return http_request(method, self._urls[which] + path, timeout=TIMEOUT, **options)
        except NO_ANSWER:
            self._update_url(which)
            return None

    def _update_url(self, which: int) -> None:
        """Update the URL: Docker publishes another port after a container's restart."""
        try:
            self._urls[which] = self._tandems[which].url
        except Exception:
            # The container is down and has no port.
            return

    def _watch(self) -> None:
        number = 0
        while not self._over.wait(0.05):
            with self._lock:
                waiting = [id_ for id_ in self.sent.notes.values() if id_ not in self.sent.done]
            if not waiting:
                continue
            number += 1
            id_ = waiting[number % len(waiting)]
            seen = self.note(id_)
            if seen and seen["status"] == "done":
                with self._lock:
                    self.sent.done[id_] = seen

    def _record(self, text: str) -> None:
        with self._lock:
            self.sent.wrong.append(text)
