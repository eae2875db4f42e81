"""The interface of a translator, and its pairs of languages."""

from collections.abc import Callable
from typing import Protocol

from .errors import ApiError
from .languages import guess
from .prompt import Prompt

MODES = {("en", "es"): "eng-spa", ("es", "en"): "spa-eng", ("fr", "es"): "fr-es", ("es", "fr"): "es-fr"}


class Translator(Protocol):
    """The interface that the chat needs; tests replace it by a fake."""

    def translate(self, text: str, source: str, target: str, gone: Callable[[], bool]) -> str:
        """Translate between two ISO 639-1 codes of MODES; stop with ClientGone when ``gone()`` is true."""


def pair_for(prompt: Prompt) -> tuple[str, str]:
    """The (source, target) of a prompt, with the source guessed when it is not said.

    A text without a hint (a name, a number) counts as the first source that can be translated into the
    target. Raises ApiError 400 for a pair that Apertium does not have here.
    """
    if prompt.target is None:
        raise _unsupported("found no target language in the prompt")
    possible = [source for source, target in MODES if target == prompt.target]
    source = prompt.source or guess(prompt.text) or next(iter(possible), "?")
    if source not in possible:
        raise _unsupported(f"asked for {source}→{prompt.target}")
    return source, prompt.target


def _unsupported(what: str) -> ApiError:
    return ApiError(400, f"this offline model translates en→es, es→en, fr→es and es→fr only; {what}")
