"""Routes that need no token. A route that says nothing is protected when API_TOKEN is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

_MARK = "is_open_to_all"


def open_to_all(view: View) -> View:
    """Marks a view as one for everybody: a page without secrets, a health check."""
    setattr(view, _MARK, True)
    return view


def is_open(view: Callable[..., Any]) -> bool:
    """Whether the view is one for everybody."""
    return bool(getattr(view, _MARK, False))
