"""Messages that are not worth running after a while."""

from __future__ import annotations

from typing import Any, cast

from dramatiq import Broker as BaseBroker
from dramatiq import Middleware
from dramatiq.middleware import SkipMessage

from tandem.broker.broker import Broker


class Expiry(Middleware):
    """Skips messages that have not started within `expires` ms after they were sent; an option of actors and messages.

    A skipped message counts as completed; with dramatiq's `max_age` it would become a dead letter. One that has started
    never expires: not in a retry, not when it was snoozed, not after the death of its worker, and not as a dead letter
    that is retried.
    """

    @property
    def actor_options(self) -> set[str]:
        return {"expires"}

    def before_process_message(self, broker: BaseBroker, message: Any) -> None:
        """Raises SkipMessage for a message that has expired."""
        expires = message.options.get("expires") or broker.get_actor(message.actor_name).options.get("expires")
        if not expires or _has_started(message):
            return
        age = cast(Broker, broker).store.clock.now() - message.message_timestamp
        if age >= expires:
            raise SkipMessage(f"it expired {age - expires:,.0f} ms ago")


def _has_started(message: Any) -> bool:
    options = message.options
    return getattr(message, "delivery_count", 1) > 1 or any(options.get(name) for name in ("attempts", "snoozed"))
