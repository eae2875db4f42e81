"""The messages of a test, and a worker that handles them when it is told to."""

from __future__ import annotations

from typing import Any, cast

from dramatiq import Message

from tandem.broker import codec, keys
from tandem.broker.broker import Broker
from tandem.broker.dead_letter import DeadLetter
from tandem.worker.sync import InlineWorker

#: More deliveries than any test has: an actor that sends its own message for ever must not hang the test.
MOST = 10_000


class Queue:
    """The messages that wait in all queues of the application."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._worker = InlineWorker(broker)

    def messages(self, actor: str | None = None) -> list[Message[Any]]:
        """Return the messages that wait, also the delayed ones: all, or those of an actor, in the order of sending."""
        found = [message for _, _, message in self._waiting() if actor in (None, message.actor_name)]
        return sorted(found, key=lambda message: message.message_timestamp)

    def sent(self, actor: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each waiting message of an actor: the positional ones, then a dictionary, if any."""
        return [(*message.args, *([message.kwargs] if message.kwargs else [])) for message in self.messages(actor)]

    def failed(self, actor: str | None = None) -> list[str]:
        """Return the error of each dead letter, as `ValueError: no such order`."""
        letters = self._broker.dead_letters.newest(sorted(self._broker.get_declared_queues()), limit=MOST)
        return [_error(letter) for letter in letters if actor in (None, letter.actor)]

    def run_all(self) -> list[str]:
        """Handle messages until none waits, also those that they send; return how each delivery ended.

        Delays and pauses between retries are not waited for. Outcomes: `completed`, `retried`, `failed`, `snoozed`.
        """
        outcomes = list[str]()
        while waiting := self._waiting():
            for queue, id_, _ in waiting:
                if outcome := self._worker.deliver(queue, id_):
                    outcomes.append(outcome.result)
            if len(outcomes) > MOST:
                raise AssertionError(
                    f"more than {MOST:,} messages were handled, and more wait: does an actor send itself?"
                )
        return outcomes

    def _waiting(self) -> list[tuple[str, str, Message[Any]]]:
        """Return queue, id and message of all that wait: the ready ones of each queue, then the delayed ones."""
        client: Any = self._broker.client
        found = []
        for queue in sorted(self._broker.get_declared_queues()):
            ids = [*client.lrange(keys.ready(queue), 0, -1), *client.zrange(keys.delayed(queue), 0, -1)]
            for id_, payload in zip(ids, client.hmget(keys.payloads(queue), ids) if ids else [], strict=True):
                message = codec.decode(cast(bytes, payload)) if payload else None
                if message:
                    found.append((queue, id_.decode(), message))
        return found


def _error(letter: DeadLetter) -> str:
    attempts = letter.options.get("attempts") or [{}]
    return f"{letter.kind.error}: {attempts[-1].get('message', '')}"
