"""The command `queue translate`."""

from __future__ import annotations

import time

import click

from app.translation import actors
from app.translation.request import NotAllowed, check
from app.translation.settings import TranslationSettings
from app.translation.stored import StoreFull
from app.translation.submit import submit
from tandem import QueueFull

POLL_SECONDS = 0.1


@click.command()
@click.argument("text")
@click.option("--to", "target", required=True, help="Language code of the translation, such as es.")
@click.option("--from", "source", help="Language code of the text; detected if omitted.")
@click.option("--model", help="One of OLLAMA_MODELS; the default is OLLAMA_MODEL.")
@click.option("--wait", is_flag=True, help="Wait for the translation and print it.")
@click.option("--timeout", type=click.IntRange(1), default=600, show_default=True, help="Maximum wait, in seconds.")
def translate(text: str, target: str, source: str | None, model: str | None, wait: bool, timeout: int) -> None:
    """Queue TEXT for translation."""
    config = TranslationSettings.current()
    fields = {"text": text, "target": target, "source": source, "model": model}
    try:
        translation_id = submit(check(fields, max_chars=config.translation_max_chars), config).id
    except (NotAllowed, QueueFull, StoreFull) as error:
        raise click.ClickException(str(error)) from error
    if wait:
        _print_result(translation_id, timeout)
    else:
        click.echo(f"queued as {translation_id}")
        click.echo(f"next: GET /translations/{translation_id}")


def _print_result(translation_id: str, timeout: int) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        translation = actors.store().get(translation_id)
        if translation is None:
            raise click.ClickException(f"translation {translation_id} not found: it has been removed or has expired")
        if translation.status == "done":
            click.echo(translation.translation)
            for problem in translation.problems:
                click.echo(f"part {problem['part']}, {problem['kind']}: {problem['detail']}", err=True)
            return
        if translation.ended:
            raise click.ClickException(f"translation {translation_id} {translation.status}: {translation.error}")
        time.sleep(POLL_SECONDS)
    waited = f"translation {translation_id} has not ended within {timeout} s and continues"
    raise click.ClickException(f"{waited}: GET /translations/{translation_id}")
