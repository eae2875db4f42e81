"""Texts and files as sequences of chunks: what is for the model, and what is kept as it is. Knows no model."""

from __future__ import annotations

from app.translation.documents.chunks import Document, split


def read(text: str, format: str, *, budget: int) -> Document:
    """The chunks of a text, each of at most `budget` tokens."""
    return split(text, budget=budget)
