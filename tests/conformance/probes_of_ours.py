"""Runs the probes on the broker under test; becomes test_probes.py beside dramatiq's own tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.conformance.fixtures_of_dramatiq import MODE
from tests.conformance.probes import (  # noqa: F401  # each adds its probes
    async_actors,
    brokers,
    callbacks,
    composition,
    failure,
    middleware,
    sending,
    stored_results,
)
from tests.conformance.probes.lab import PROBES, Lab

OBSERVATIONS = Path(os.environ["CONFORMANCE_OBSERVATIONS"])


@pytest.mark.parametrize("name", PROBES)
def test_probe(redis_broker: Any, client: redis.Redis, name: str) -> None:
    """Add the observation to the file; fails only if there is none."""
    observation = PROBES[name](Lab(redis_broker, client))
    with OBSERVATIONS.open("a") as file:
        file.write(json.dumps([MODE, name, observation], default=str) + "\n")
