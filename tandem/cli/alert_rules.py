"""The command `queue alert-rules`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tandem.config import settings
from tandem.metrics import alert_rules
from tandem.support.files import write_atomically


@click.command("alert-rules")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write tandem.rules.yaml there, and the file `token`, with which Prometheus may read /metrics.",
)
def rules(folder: Path | None) -> None:
    """Print alert rules for Prometheus, made from the settings ALERT_….

    The output is JSON, which is YAML as well.
    """
    config = settings.current()
    text = json.dumps(alert_rules.groups(config), indent=2, ensure_ascii=False) + "\n"
    if folder is None:
        click.echo(text, nl=False)
        return
    token = _token(config)
    # For the user of Prometheus, which is in the application's group.
    for name, content in (("tandem.rules.yaml", text), ("token", token)):
        write_atomically(folder / name, content, mode=0o640)
        (folder / name).chmod(0o640)
    click.echo(f"wrote tandem.rules.yaml and token into {folder}")


def _token(config: settings.Settings) -> str:
    """Return a token that opens /metrics, or ""."""
    if chosen := config.metrics_token or config.api_token:
        return chosen.get_secret_value()
    return next(iter(config.named_tokens.values()), "")
