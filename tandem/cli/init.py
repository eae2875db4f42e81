"""The command `queue init`, which the program `init` runs once."""

from __future__ import annotations

import time

import click

from tandem import logs, registry
from tandem.config import settings

# Above startsecs in docker/supervisor/programs/init.conf.
MIN_SECONDS = 1.5


@click.command()
def init() -> None:
    """Run the on_start of all workloads, once at a container's start; supervisor does not restart it."""
    began = time.monotonic()
    config = settings.current()
    logs.configure(config.log_level, config.log_format)
    for workload in registry.load(config):
        if workload.on_start:
            workload.on_start(config)
    # supervisor counts an exit within its startsecs as a failed start.
    time.sleep(max(0.0, MIN_SECONDS - (time.monotonic() - began)))
