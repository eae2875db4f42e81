"""Probes of what a test does with a broker."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.conformance.probes.lab import (
    Lab,
    probe,
)


@probe("join of an empty queue, and of one that does not exist")
def _(lab: Lab) -> object:
    lab.actor()
    lab.broker.join("default", timeout=1000)
    with suppress(Exception):
        lab.broker.join("other", timeout=100)
        return "no error"
    return "an error"


@probe("join of a queue that nobody consumes times out")
def _(lab: Lab) -> object:
    lab.actor().send(1)
    with pytest.raises(Exception) as raised:
        lab.broker.join("default", timeout=100)
    return type(raised.value).__name__


@probe("an actor is found by its name, and an unknown one is not")
def _(lab: Lab) -> object:
    work = lab.actor()
    with pytest.raises(Exception) as raised:
        lab.broker.get_actor("nobody")
    return [lab.broker.get_actor("work") is work, type(raised.value).__name__, sorted(lab.broker.get_declared_actors())]
