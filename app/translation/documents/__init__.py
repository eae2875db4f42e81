"""Texts and files as sequences of chunks: what is for the model, and what is kept as it is. Knows no model."""

from __future__ import annotations

from importlib import import_module

from app.translation.documents.chunks import Builder, Document

#: Tokens of one chunk: with the prompt and an answer twice as long it stays well inside the smallest context.
CHUNK_TOKENS = 500

_BYTE_ORDER_MARK = "\ufeff"
# In these a text can be wrong.
_STRICT = ("srt", "json")


def read(text: str, format: str, *, budget: int) -> Document:
    """The chunks of a text in one of request.Format, each of at most `budget` tokens.

    Joined untranslated they are the text, byte for byte. Raises errors.Unreadable.
    """
    build = Builder(budget)
    body = text.removeprefix(_BYTE_ORDER_MARK)
    build.keep(text[: len(text) - len(body)])
    # Imported when such a text is read: a library may come with it.
    import_module(f"{__name__}.{format}").read(body, build)
    return build.document()


def words(text: str, format: str) -> str:
    """What the language of a text can be told from. Raises errors.Unreadable for what is not in its format."""
    if format not in _STRICT:
        return text
    return "\n\n".join(chunk.text for chunk in read(text, format, budget=len(text)).chunks)
