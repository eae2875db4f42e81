"""A caller's own translations: those of other callers answer 404."""

from __future__ import annotations

from typing import NoReturn
from uuid import UUID

from flask import abort

from app.translation import actors
from app.translation.store import Translation
from tandem import openapi


def find(id: UUID) -> Translation:
    """Return the caller's translation; abort with 404 if it is another caller's or does not exist."""
    translation = actors.store().get(str(id))
    if translation is None or translation.owner != openapi.caller():
        abort_not_found(id)
    return translation


def require(id: UUID) -> str:
    """Return the id as the store knows it, without reading the texts; abort as `find` does."""
    if actors.store().owner(str(id)) != openapi.caller():
        abort_not_found(id)
    return str(id)


def abort_not_found(id: UUID) -> NoReturn:
    """Abort with 404."""
    abort(404, f"translation {id} not found: it does not exist or has expired")
