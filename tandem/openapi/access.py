"""Public routes, which need no token. All other routes are protected if API_TOKEN is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

_MARK = "is_public"


def public(view: View) -> View:
    """Mark a view as public: a page without secrets, a health check."""
    setattr(view, _MARK, True)
    return view


def is_public(view: Callable[..., Any]) -> bool:
    """Return whether the view is public."""
    return bool(getattr(view, _MARK, False))
