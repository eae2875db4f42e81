"""Calls the hooks of dramatiq's middleware, and only those that do something."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.middleware import MiddlewareError

logger = logging.getLogger(__name__)


class HookedBroker(dramatiq.Broker):
    """A broker without any middleware at first."""

    def __init__(self) -> None:
        self._hooked: list[dramatiq.Middleware] = []
        self._hooks_by_name: dict[str, list[Callable[..., Any]]] = {}
        super().__init__(middleware=[])

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the hooks before something. Raises MiddlewareError, by which a middleware ends or skips it."""
        for call in self.hooks(f"before_{signal}"):
            try:
                call(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                logger.critical("before_%s of a middleware failed: %r", signal, call, exc_info=True)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the hooks after something, those of the last middleware first."""
        for call in reversed(self.hooks(f"after_{signal}")):
            try:
                call(self, *args, **kwargs)
            except Exception:
                logger.critical("after_%s of a middleware failed: %r", signal, call, exc_info=True)

    def hooks(self, name: str) -> list[Callable[..., Any]]:
        """Return the hooks of this name that do something, in the order of the middleware.

        Calling all the others, for several signals of each message, would take a tenth of a worker's time.
        """
        if self._hooked != self.middleware:
            self._hooked, self._hooks_by_name = list(self.middleware), {}
        if name not in self._hooks_by_name:
            # A signal that dramatiq does not know has no default.
            default = getattr(dramatiq.Middleware, name, None)
            hooks = [getattr(part, name, None) for part in self.middleware]
            # Some middleware sets a hook on the instance.
            own = [hook for hook in hooks if hook and getattr(hook, "__func__", None) is not default]
            self._hooks_by_name[name] = own
        return self._hooks_by_name[name]
