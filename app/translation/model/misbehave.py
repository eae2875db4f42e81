"""The failures that this server can simulate, so that clients can be tested with them on a real socket.

Each one is chosen by the model's name, ``apertium-<name>``, or for all calls by MODEL_MISBEHAVE. The texts
are Ollama's own, because clients decide by them what is worth another try.
"""

import codecs
import time
from collections.abc import Callable, Iterator, Sequence

from .alter import altered
from .errors import ApiError
from .kinds import Misbehaviour
from .slots import BUSY
from .steps import Cut, Fail, Finish, Say, Step, Wait

MAX_STALL = 600.0
# Lets the tokens arrive before the reset, which discards data in transit.
BEFORE_CUT = 0.05
# One more than the equal tokens after which Ollama ends an answer, without `done`.
REPEATED = 31
REPEATED_WORD = " ."

#: Misbehaviours that fail at first with each text, and how.
AT_FIRST = {
    Misbehaviour.BUSY_THEN_WELL: (503, BUSY),
    Misbehaviour.BROKEN_THEN_WELL: (500, "an error was encountered while running the model: unexpected EOF"),
    Misbehaviour.NO_ROOM_THEN_WELL: (500, "llama-server reported out-of-memory during startup"),
}


def refusal(kind: Misbehaviour | None, model: str) -> ApiError | None:
    """The error that a call or a preload with this misbehaviour is refused with, if any."""
    if kind is Misbehaviour.NOT_FOUND:
        return ApiError(404, f"model '{model}' not found")
    if kind is Misbehaviour.CRASH:
        return ApiError(500, "llama runner process has terminated: exit status 2")
    if kind is Misbehaviour.BAD_OPTION:
        return ApiError(500, 'option "num_ctx" must be of type integer')
    if kind is Misbehaviour.EMBEDDING:
        return ApiError(400, f'"{model}" does not support chat')
    return None


def content(kind: Misbehaviour | None, text: str, translate: Callable[[], str]) -> str:
    """What the answer says. ``translate`` is called only when the translation is needed."""
    if kind is Misbehaviour.ECHO:
        return text
    if kind is Misbehaviour.FIXED_LATENCY:
        # No translation, but nothing that a client could take for the text itself.
        return codecs.encode(text, "rot13")
    return altered(kind, translate())


def play(kind: Misbehaviour | None, words: Sequence[str], reason: str, slow_until: float) -> Iterator[Step]:
    """Send ``words`` and finish with ``reason``, or do what the misbehaviour says.

    slow_until: seconds of ``time.monotonic`` before which ``slow`` and ``fixed-latency`` send no byte, and until
    which ``slow-words`` sends its words.
    """
    words, reason = _shaped(kind, words, reason)
    half = _half(words)
    if kind in (Misbehaviour.SLOW, Misbehaviour.FIXED_LATENCY):
        yield Wait(slow_until)
    match kind:
        case Misbehaviour.SLOW_WORDS:
            begin = time.monotonic()
            for number, word in enumerate(words, start=1):
                yield Wait(begin + (slow_until - begin) * number / len(words))
                yield Say(word)
            yield Finish(reason)
        case Misbehaviour.STALL:
            yield from map(Say, half)
            yield Wait(time.monotonic() + MAX_STALL)
        case Misbehaviour.CUT:
            yield from map(Say, half)
            yield Wait(time.monotonic() + BEFORE_CUT)
            yield Cut()
        case Misbehaviour.ERROR_LINE:
            yield from map(Say, words[:1])
            yield Fail("an error was encountered while running the model: unexpected EOF")
        case Misbehaviour.NO_DONE | Misbehaviour.REPEAT:
            yield from map(Say, words)
        case _:
            yield from map(Say, words)
            yield Finish(reason)


def _shaped(kind: Misbehaviour | None, words: Sequence[str], reason: str) -> tuple[Sequence[str], str]:
    match kind:
        case Misbehaviour.LENGTH:
            return _half(words), "length"
        case Misbehaviour.LOOP:
            return words, "length"
        case Misbehaviour.EMPTY:
            return [], "stop"
        case Misbehaviour.REPEAT:
            return [*words[:1], *[REPEATED_WORD] * REPEATED], reason
        case Misbehaviour.FIXED_LATENCY:
            # One piece: a benchmark's latency should not grow with the number of words.
            return ["".join(words)], reason
        case _:
            return words, reason


def _half(words: Sequence[str]) -> Sequence[str]:
    return words[: (len(words) + 1) // 2]
