"""Turns a chat request into the steps of its answer."""

import re
import time
from collections.abc import Callable, Iterator

from model.errors import ApiError
from model.kinds import Misbehaviour
from model.measures import Measures
from model.misbehave import content, play, refusal
from model.parsing import ChatRequest
from model.prompt import Prompt, read_prompt
from model.settings import Settings
from model.slots import BUSY, Slots
from model.steps import Finish, Step
from model.tally import Tally
from model.translator import Translator, pair_for

# Bytes of UTF-8 for each token: the estimate that this project's client uses as well.
BYTES_PER_TOKEN = 3


class Chat:
    """Answers chats with a translator, or with the misbehaviour that was asked for."""

    def __init__(self, settings: Settings, translator: Translator) -> None:
        self._settings = settings
        self._translator = translator
        self._slots = Slots(settings.parallel, settings.max_queue)
        self._failed = Tally()
        self.tally = Tally()

    def answer(
        self, request: ChatRequest, kind: Misbehaviour | None, measures: Measures, gone: Callable[[], bool]
    ) -> Iterator[Step]:
        """The steps of the answer.

        Raises ApiError before the first step for a request that is refused, ClientGone once ``gone()`` is
        true.
        """
        started = time.monotonic()
        with measures.prompt_eval():
            prompt = read_prompt(request.messages)
            measures.prompt_eval_count = sum(len(message.content.split()) for message in request.messages)
        if request.messages:
            self._count(prompt, kind)
        if error := refusal(kind, request.model):
            raise error
        if not request.messages:
            yield Finish("unload" if request.unload else "load")
            return
        _check_context(request)
        kind = self._this_time(kind, prompt.text)
        answer = content(kind, prompt.text, lambda: self._translate(prompt, measures, gone))
        words, reason = _cut(answer, request.num_predict)
        with self.tally.running():
            yield from play(kind, words, reason, started + self._settings.delay)

    def _count(self, prompt: Prompt, kind: Misbehaviour | None) -> None:
        # A server in real use must not collect its users' texts.
        if self._settings.test_models:
            self.tally.add(prompt.text)
        if kind is Misbehaviour.BUSY_THEN_WELL and self._fails_yet(kind, prompt.text):
            raise ApiError(503, BUSY)

    def _this_time(self, kind: Misbehaviour | None, text: str) -> Misbehaviour | None:
        if kind is Misbehaviour.PLACEHOLDERS_THEN_WELL:
            return Misbehaviour.PLACEHOLDERS if self._fails_yet(kind, text) else None
        return kind

    def _fails_yet(self, kind: Misbehaviour, text: str) -> bool:
        return self._failed.add(f"{kind} {text}") <= self._settings.failures

    def _translate(self, prompt: Prompt, measures: Measures, gone: Callable[[], bool]) -> str:
        source, target = pair_for(prompt)
        if not prompt.text.strip():
            return prompt.text
        waiting_since = time.perf_counter_ns()
        with self._slots.one(gone):
            measures.loaded(waiting_since)
            return self._translator.translate(prompt.text, source, target, gone)


def _check_context(request: ChatRequest) -> None:
    """Refuse a prompt beyond num_ctx when the client forbids truncation.

    When it allows it, nothing is cut: Apertium has no context, and a whole translation is better than
    Ollama's half.
    """
    tokens = sum(len(message.content.encode()) for message in request.messages) // BYTES_PER_TOKEN
    if not request.truncate and tokens > request.num_ctx:
        size = f"the available context size ({request.num_ctx} tokens)"
        raise ApiError(400, f"request ({tokens} tokens) exceeds {size}, try increasing it")


def _cut(answer: str, num_predict: int) -> tuple[list[str], str]:
    """The answer's words with their whitespace, at most num_predict, and the reason why it ends."""
    words = re.findall(r"\s*\S+(?:\s+\Z)?|\s+\Z", answer)
    if 0 < num_predict < len(words):
        return words[:num_predict], "length"
    return words, "stop"
