"""What the rest of Tandem needs of a workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.queueing.checks import Check
from app.settings import Settings

if TYPE_CHECKING:  # a worker needs neither, and both cost memory
    from click import Command
    from flask import Blueprint

    from app.api.description import Api


def _none(_settings: Settings) -> Sequence[Check]:
    return ()


def _unbounded(_settings: Settings) -> Mapping[str, int]:
    return {}


@dataclass(frozen=True)
class Workload:
    """A kind of work: importing it declares its actors; the rest is asked for by the processes that need it.

    blueprint: its routes. checks: what it depends on, for /readyz and `queue health`. commands: its own commands
    of `queue`. at_once: how many messages of a queue may run at the same time, over all containers on one Redis.
    api: how /openapi.json describes its routes.
    prepare: what is to be done once at a container's start, beside everything else; it may take as long as it takes.
    """

    name: str
    blueprint: Callable[[Settings], Blueprint] | None = None
    checks: Callable[[Settings], Sequence[Check]] = _none
    at_once: Callable[[Settings], Mapping[str, int]] = _unbounded
    commands: Callable[[], Sequence[Command]] = tuple
    api: Callable[[Settings], Api] | None = None
    prepare: Callable[[Settings], None] | None = None
