"""dramatiq's age limit, by the clock that the messages were stamped with."""

from __future__ import annotations

from typing import Any

from dramatiq import Broker as BaseBroker
from dramatiq.middleware import AgeLimit as BaseAgeLimit
from dramatiq.middleware import SkipMessage

from tandem.broker.broker import Broker


class AgeLimit(BaseAgeLimit):
    """Fails messages that are older than their `max_age` (ms), an option of actors and messages."""

    def before_process_message(self, broker: BaseBroker, message: Any) -> None:
        """Raises SkipMessage, after `message.fail()`, for a message that is too old."""
        actor = broker.get_actor(message.actor_name)
        if message.options.get("resent"):
            return  # an operator has retried a dead letter, which is always old
        max_age = message.options.get("max_age") or actor.options.get("max_age", self.max_age)
        if not max_age or not isinstance(broker, Broker):
            return
        age = broker.store.clock.now() - message.message_timestamp
        if age >= max_age:
            message.fail()
            raise SkipMessage(f"the message is {age:,.0f} ms old, older than its max_age of {max_age:,} ms")
