"""Write the steps of a chat's answer, as a stream or in one piece."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from .errors import ApiError, ClientGone, ConnectionCut
from .exchange import Exchange
from .measures import Measures
from .steps import Cut, Fail, Finish, Say, Step, Wait


class Answer:
    """The answer to one chat. Its objects carry the model's name as the client wrote it."""

    def __init__(self, exchange: Exchange, model: str, measures: Measures) -> None:
        self._exchange = exchange
        self._model = model
        self._measures = measures

    def stream(self, steps: Iterator[Step]) -> None:
        """Send each step when it comes. Raises ClientGone as soon as the client is seen to be gone."""
        for step in steps:
            match step:
                case Say(text):
                    self._count(text)
                    self._exchange.send_line(self._object(text, done=False))
                case Finish(reason):
                    self._exchange.send_line(self._last("", reason))
                case Fail(message):
                    raise ApiError(500, message)
                case _:
                    self._wait_or_cut(step)
        self._exchange.end_lines()

    def whole(self, steps: Iterator[Step]) -> None:
        """Send one object with the whole content; an answer without an end says ``done: false``."""
        content, reason = "", ""
        for step in steps:
            match step:
                case Say(text):
                    self._count(text)
                    content += text
                case Finish():
                    reason = step.reason
                case Fail(message):
                    raise ApiError(500, message)
                case _:
                    self._wait_or_cut(step)
        answer = self._last(content, reason) if reason else self._object(content, done=False)
        self._exchange.send_json(200, answer)

    def _wait_or_cut(self, step: Wait | Cut) -> None:
        if isinstance(step, Wait):
            if self._exchange.gone(wait=step.until - time.monotonic()):
                raise ClientGone
        else:
            self._exchange.reset()
            raise ConnectionCut

    def _count(self, text: str) -> None:
        self._measures.eval_count += len(text.split())

    def _last(self, content: str, reason: str) -> dict[str, object]:
        return self._object(content, done=True) | {"done_reason": reason} | self._measures.as_json()

    def _object(self, content: str, *, done: bool) -> dict[str, object]:
        created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        message = {"role": "assistant", "content": content}
        return {"model": self._model, "created_at": created, "message": message, "done": done}
