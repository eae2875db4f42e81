"""Turn a chat request into the steps of its answer."""

import json
import re
import threading
import time
from collections.abc import Callable, Generator

from .errors import ApiError
from .kinds import Misbehaviour
from .loading import Loading
from .measures import Measures
from .misbehave import AT_FIRST, content, play, refusal
from .names import full_name
from .parsing import ChatRequest
from .prompt import Prompt, read_prompt
from .settings import Settings
from .slots import Slots
from .steps import Finish, Step
from .tally import Tally
from .translator import Translator, pair_for

# Bytes of UTF-8 for each token: the estimate that this project's client uses as well.
BYTES_PER_TOKEN = 3
# The training context of the model `narrow`, whatever is requested.
NARROW_CONTEXT = 256


class Chat:
    """Answers chats with a translator, or with the requested misbehaviour."""

    def __init__(self, settings: Settings, translator: Translator) -> None:
        self._settings = settings
        self._translator = translator
        self._slots: dict[str, Slots] = {}
        self._slots_lock = threading.Lock()
        self._failed = Tally()
        self.tally = Tally()
        self._loading = Loading(settings.load, self._report)

    def _report(self, line: str) -> None:
        self.tally.note_load(line)
        if self._settings.load:
            print(line, flush=True)

    def _slots_of(self, model: str) -> Slots:
        with self._slots_lock:
            return self._slots.setdefault(model, Slots(self._settings.parallel, self._settings.max_queue))

    def answer(
        self, request: ChatRequest, kind: Misbehaviour | None, measures: Measures, gone: Callable[[], bool]
    ) -> Generator[Step, None, None]:
        """The steps of the answer; the model's place is free again when they are closed.

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
        model = full_name(request.model)
        with self._loading.using(model, request.launch, gone):
            if not request.messages:
                yield Finish("unload" if request.unload else "load")
                return
            _check_context(request, kind)
            waiting_since = time.perf_counter_ns()
            with self._slots_of(model).one(gone):
                measures.loaded(waiting_since)
                yield from self._steps(request, kind, prompt, gone, started)

    def _steps(
        self, request: ChatRequest, kind: Misbehaviour | None, prompt: Prompt, gone: Callable[[], bool], started: float
    ) -> Generator[Step, None, None]:
        kind = self._this_time(kind, prompt.text)
        answer = content(kind, prompt.text, lambda: self._translate(prompt, gone))
        words, reason = _cut(answer, request.num_predict)
        with self.tally.running():
            yield from play(kind, words, reason, started + self._settings.delay)

    def _count(self, prompt: Prompt, kind: Misbehaviour | None) -> None:
        # A server in real use must not collect its users' texts.
        if self._settings.test_models:
            self.tally.add(prompt.text)
        if kind in AT_FIRST and self._fails_yet(kind, prompt.text):
            raise ApiError(*AT_FIRST[kind])

    def _this_time(self, kind: Misbehaviour | None, text: str) -> Misbehaviour | None:
        if kind is Misbehaviour.PLACEHOLDERS_THEN_WELL:
            return Misbehaviour.PLACEHOLDERS if self._fails_yet(kind, text) else None
        return kind

    def _fails_yet(self, kind: Misbehaviour, text: str) -> bool:
        return self._failed.add(f"{kind} {text}") <= self._settings.failures

    def _translate(self, prompt: Prompt, gone: Callable[[], bool]) -> str:
        source, target = pair_for(prompt)
        if not prompt.text.strip():
            return prompt.text
        return self._translator.translate(prompt.text, source, target, gone)


def _check_context(request: ChatRequest, kind: Misbehaviour | None) -> None:
    """Refuse a prompt beyond num_ctx when the client forbids truncation.

    When it allows it, nothing is cut: Apertium has no context, and a whole translation is better than
    Ollama's half.
    """
    tokens = sum(len(message.content.encode()) for message in request.messages) // BYTES_PER_TOKEN
    num_ctx = min(request.num_ctx, NARROW_CONTEXT) if kind is Misbehaviour.NARROW else request.num_ctx
    if request.truncate or tokens <= num_ctx:
        return
    message = f"request ({tokens} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
    if kind is Misbehaviour.NARROW:  # what its engine says comes as JSON within the JSON
        message = json.dumps({"error": {"code": 400, "message": message, "type": "exceed_context_size_error"}})
    raise ApiError(400, message)


def _cut(answer: str, num_predict: int) -> tuple[list[str], str]:
    """The answer's words with their whitespace, at most num_predict, and the reason why it ends."""
    words = re.findall(r"\s*\S+(?:\s+\Z)?|\s+\Z", answer)
    if 0 < num_predict < len(words):
        return words[:num_predict], "length"
    return words, "stop"
