"""The command `queue health`, which Docker runs every few seconds: its imports are most of its cost."""

from __future__ import annotations

import json
import sys

import click

from tandem import registry
from tandem.config import settings
from tandem.config.settings_base import SettingsError
from tandem.health import checks
from tandem.health.checks import Check, failing
from tandem.health.container import container_checks
from tandem.health.queue_checks import queue_checks
from tandem.monitor.checks import alert_checks
from tandem.support.escapes import escaped


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def health(as_json: bool) -> None:
    """Check every program, Redis, the web and the workloads' dependencies; exit with 1 if a check failed."""

    config = settings.current()
    looks = container_checks(config.started_programs) + queue_checks(config) + _checks_of_workloads(config)
    looks += alert_checks(config)
    results = checks.run(looks)
    if as_json:
        click.echo(json.dumps([vars(result) for result in results], indent=2))
    else:
        width = max(len(result.name) for result in results)
        for result in results:
            click.echo(escaped(f"{result.status:<4}  {result.name:<{width}}  {result.detail}"))
    sys.exit(checks.worst(results) in (checks.Status.FAIL, checks.Status.AWAY))


def _checks_of_workloads(config: settings.Settings) -> list[Check]:
    """Return the checks of all workloads; if they cannot be loaded, a failing one for each reason."""

    try:
        loaded = registry.load(config)
    except (registry.LoadError, SettingsError) as error:
        return [Check("workloads", failing(line)) for line in error.lines]
    return [check for workload in loaded for check in workload.checks(config)]
