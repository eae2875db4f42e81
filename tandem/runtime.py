"""The broker of this process, created before the settings are read, so that actors can be declared at any time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import cache
from uuid import uuid4

import dramatiq
from dramatiq.middleware import Callbacks, CurrentMessage, Pipelines, ShutdownNotifications

from tandem import logs
from tandem.broker.broker import Binding, Broker
from tandem.broker.connection import connect
from tandem.broker.disk import Disk
from tandem.broker.in_flight import InFlight
from tandem.broker.limits import LimitOptions
from tandem.broker.unique import UniqueOptions
from tandem.config import settings as configuration
from tandem.config.settings import Settings
from tandem.worker.age_limit import AgeLimit
from tandem.worker.expiry import Expiry
from tandem.worker.retries import Retries
from tandem.worker.schedule_outcomes import ScheduleOutcomes
from tandem.worker.time_limit import TimeLimit


def default_middleware() -> list[dramatiq.Middleware]:
    """Return what every broker has: dramatiq's default middleware, in its order, with replacements of ours."""
    return [
        InFlight(),
        AgeLimit(),
        Expiry(),
        UniqueOptions(),
        LimitOptions(),
        ShutdownNotifications(),
        CurrentMessage(),
        Callbacks(),
        Pipelines(),
        Retries(),
        ScheduleOutcomes(),
        # Last, so that its "after" hook runs first: the time limit must not interrupt the code after the actor.
        TimeLimit(),
    ]


@cache
def get_broker() -> Broker:
    """Return the broker of this process, on which all actors are declared from the first call on.

    If it is not bound at its first use, it is bound to the Redis of the current settings.
    """
    broker = Broker(middleware=default_middleware(), on_first_use=lambda: configure(configuration.current()))
    dramatiq.set_broker(broker)
    return broker


def configure(settings: Settings) -> Broker:
    """Bind the broker to the Redis of these settings, and set the limits of its middleware. Connects at first use."""
    broker = get_broker()
    broker.middleware_of(InFlight).time_limit = settings.message_time_limit
    broker.middleware_of(TimeLimit).time_limit = settings.message_time_limit * 1000
    retries = broker.middleware_of(Retries)
    retries.max_retries = settings.max_retries
    retries.delay = settings.retry_delay
    retries.multiplier = settings.retry_multiplier
    broker.bind(_binding(settings))
    if settings.otel_exporter_otlp_endpoint or settings.sentry_dsn:
        from tandem import telemetry  # only for those who have set it

        telemetry.attach(broker, settings)
    return broker


def unbind() -> None:
    """Let the broker of this process forget its Redis: the next test may have another."""
    _binding.cache_clear()
    get_broker().unbind()


@cache
def _binding(settings: Settings) -> Binding:
    return Binding(
        connect(settings),
        worker=worker_name(),
        failed_retention=settings.failed_retention,
        disk=Disk.of(settings),
        inline=_inline() if settings.queue_transport == "sync" else None,
    )


def worker_name() -> str:
    """Return the name of this process: its host and its name in supervisor, or a unique one if interactive."""
    process = logs.process_name()
    if process == logs.INTERACTIVE:
        process = f"{process}-{uuid4().hex[:8]}"
    return f"{socket.gethostname()}:{process}"


def _inline() -> Callable[[str, str], None]:
    from tandem.worker.sync import InlineWorker  # only needed with QUEUE_TRANSPORT=sync

    return InlineWorker(get_broker()).handle


# dramatiq needs a broker when an actor is declared, so importing this module has to create it.
get_broker()
