"""Split texts and files into chunks for the model and parts that stay unchanged. Independent of any model."""

from __future__ import annotations

from importlib import import_module

from app.translation.documents.chunks import Builder, Document
from app.translation.documents.survey import Survey, check_parts

#: Maximum tokens of one chunk: with the prompt and an answer twice as long it stays well inside the smallest context.
CHUNK_TOKENS = 500

_BYTE_ORDER_MARK = "\ufeff"
# Formats with a syntax that a text can violate.
_STRICT = ("srt", "vtt", "json", "po", "properties", "strings")


def read(text: str, format: str, *, budget: int) -> Document:
    """Split a text in one of request.Format into chunks of at most `budget` tokens each.

    Joining the untranslated chunks returns the text, byte for byte. Raises errors.Unreadable.
    """
    build = Builder(budget)
    body = text.removeprefix(_BYTE_ORDER_MARK)
    build.keep(text[: len(text) - len(body)])
    # Imported on first use, because a format may need a library.
    import_module(f"{__name__}.{format}").read(body, build)
    return build.document()


def words(text: str, format: str, *, max_parts: int) -> str:
    """Return the words by which to detect a text's language: a sample of some KB if the format has to be parsed.

    Raises errors.Unreadable if the text violates its format, and errors.TooManyParts.
    """
    if format == "markdown":
        # The parser takes several hundred bytes for each byte of a list, more memory than the web process has.
        check_parts(text, max_parts)
        return text
    survey = Survey(CHUNK_TOKENS, max_parts)
    import_module(f"{__name__}.{format}").read(text.removeprefix(_BYTE_ORDER_MARK), survey)
    return survey.words() if format in _STRICT else text
