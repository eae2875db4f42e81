"""What /metrics shows of the translation: calls to the model, tokens, the cache of answers, and problems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from tandem.metrics import Counter, Histogram

if TYPE_CHECKING:
    from app.translation.engine.ollama import Call

CALLS = Counter("translation_model_calls", "Calls to a model, by how they ended.", ("model", "outcome"))
FIRST_TOKEN_SECONDS = Histogram(
    "translation_model_first_token_seconds", "Time from a call to the first token of the answer.", ("model",)
)
CALL_SECONDS = Histogram("translation_model_call_seconds", "Time from a call to the end of the answer.", ("model",))
TOKENS = Counter("translation_model_tokens", "Tokens, as the model has counted them.", ("model", "direction"))
CACHE = Counter("translation_cache_lookups", "Looks into the cache of answers.", ("result",))
PROBLEMS = Counter("translation_problems", "Problems of translated parts, by kind.", ("kind",))

ALL = (CALLS, FIRST_TOKEN_SECONDS, CALL_SECONDS, TOKENS, CACHE, PROBLEMS)


@contextmanager
def measured(model: str, call: Call) -> Iterator[None]:
    """Count the call that is made in the block, with the class of the error that it ends with."""
    outcome = "answered"
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        CALLS.add(model=model, outcome=outcome)
        if call.first_token_at:
            FIRST_TOKEN_SECONDS.observe(call.first_token_at - call.began, model=model)
        if outcome == "answered":
            CALL_SECONDS.observe(monotonic() - call.began, model=model)
            TOKENS.add(call.tokens_in, model=model, direction="in")
            TOKENS.add(call.tokens_out, model=model, direction="out")
