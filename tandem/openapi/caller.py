"""The caller of the current request: the name of its token in API_TOKENS."""

from __future__ import annotations

from flask import g

_NAME = "tandem_caller"


def caller() -> str:
    """Return the name of the client's token, or "" for a client with the API_TOKEN or without a token.

    A workload shows the data of a caller to the same caller only. A name has 1 to 64 letters, digits, ".", "_" and "-",
    so it can be a part of a key. Raises RuntimeError outside of a request.
    """
    return str(g.get(_NAME, ""))


def set_caller(name: str) -> None:
    """Set the caller of the current request; the platform does this before the view."""
    setattr(g, _NAME, name)
