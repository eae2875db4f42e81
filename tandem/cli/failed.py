"""The command `queue failed`: shows, requeues and removes dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click
import dramatiq
import redis

from tandem.broker.broker import Broker
from tandem.broker.dead_letter import DeadLetter, FailureKind
from tandem.broker.dead_letters import DeadLetters, Filter, Retried
from tandem.cli import failed_output as output
from tandem.cli.prompts import confirm, force_option
from tandem.cli.terminal import progress
from tandem.operate import action_log
from tandem.support.escapes import escaped
from tandem.support.formatting import counted

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Selection:
    """The dead letters that match the options: their queues and kinds, and how many there were at the beginning."""

    letters: DeadLetters
    wanted: Filter
    counts: dict[str, dict[FailureKind, int]]
    began_at: float

    @property
    def total(self) -> int:
        """The number of letters."""
        return sum(number for counts in self.counts.values() for number in counts.values())

    @property
    def queues(self) -> list[str]:
        """The queues with matching letters."""
        return [queue for queue, counts in self.counts.items() if counts]

    @property
    def kinds(self) -> dict[FailureKind, int]:
        """The number of letters of each kind, over all queues."""
        sums: dict[FailureKind, int] = {}
        for counts in self.counts.values():
            for kind, number in counts.items():
                sums[kind] = sums.get(kind, 0) + number
        return sums

    def described(self) -> str:
        """Return the text for a prompt, such as `1,234 failed messages of 2 queues`."""
        queues = self.queues
        named = f"the queue {escaped(queues[0])}" if len(queues) == 1 else f"{len(queues)} queues"
        return f"{counted(self.total, 'failed message')} of {named}"

    def batches(self) -> Iterator[list[DeadLetter]]:
        """Yield the letters that existed at the beginning, oldest first: so it ends although messages fail again."""
        for queue in self.queues:
            yield from self.letters.oldest(queue, self.wanted, until=self.began_at)


def filter_options(command: F) -> F:
    """Add the options that select letters."""
    for name, about in (("error", "with this error class"), ("actor", "of this actor"), ("queue", "of this queue")):
        command = click.option(f"--{name}", help=f"Only messages {about}.")(command)
    return command


def ids_or_all(command: F) -> F:
    """Add the arguments that name the letters to change: their ids, or --all with the options that select letters."""
    command = filter_options(force_option(command))
    about = "All failed messages, or those that match the options."
    command = click.option("--all", "everything", is_flag=True, help=about)(command)
    return click.argument("ids", nargs=-1, metavar="[ID]...")(command)


@click.group()
def failed() -> None:
    """Show, retry and remove messages that failed for good."""


@failed.command()
@click.argument("id_", metavar="[ID]", required=False)
@filter_options
@click.option(
    "--max", "limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="Maximum number."
)
@click.option("--stats", is_flag=True, help="Count them by error class and actor.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, /, id_: str | None, limit: int, stats: bool, as_json: bool, **choice: str | None) -> None:
    """List failed messages, newest first; with an ID, show all details of one, its arguments included."""
    if id_ is None:
        chosen = _choose(**choice)
        (_show_statistics if stats else _show_list)(chosen, limit, as_json)
        return
    if stats or any(choice.values()) or ctx.get_parameter_source("limit") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("an ID cannot be combined with options other than --json")
    (letter,) = _find([id_])
    if as_json:
        click.echo(json.dumps(output.everything(letter), indent=2, default=repr))
    else:
        click.echo("\n".join(output.details(letter)))


@failed.command()
@ids_or_all
def retry(ids: tuple[str, ...], everything: bool, force: bool, **choice: str | None) -> None:
    """Requeue failed messages, with all their retries again."""
    _refuse_both_or_neither(ids, everything, choice)
    result = _retry_all(_choose(**choice), force=force) if everything else _retry_these(_find(ids))
    if result == Retried():
        return
    rest = [f"{result.gone:,} had been removed or requeued meanwhile"] if result.gone else []
    if result.undecodable:
        rest.append(f"{result.undecodable:,} cannot be decoded and stay")
    text = "; ".join([f"Retried {counted(result.requeued, 'failed message')}", *rest])
    if not result.requeued:
        raise click.ClickException(text)
    _note("retry", ids, choice, result.requeued)
    click.echo(f"{text}; next: queue stats, queue failed show")


@failed.command()
@ids_or_all
def remove(ids: tuple[str, ...], everything: bool, force: bool, **choice: str | None) -> None:
    """Remove failed messages permanently."""
    _refuse_both_or_neither(ids, everything, choice)
    if everything:
        chosen = _choose(**choice)
        if not chosen.total:
            click.echo("No failed messages.")
            return
        confirm(f"Remove {chosen.described()} permanently?", force=force)
        removed = _remove_all(chosen)
    else:
        found = _find(ids)
        confirm(f"Remove {counted(len(found), 'failed message')} permanently?", force=force)
        removed = sum(_letters().remove(part) for part in _by_queue(found))
    if not removed:
        raise click.ClickException("nothing was removed: the messages had been removed or requeued meanwhile")
    _note("remove", ids, choice, removed)
    click.echo(f"Removed {counted(removed, 'failed message')}; next: queue failed show")


def _note(what: str, ids: Sequence[str], choice: Mapping[str, str | None], count: int) -> None:
    """Add it to the action log, with the ids or the filter."""
    chosen = " ".join(f"--{name} {value}" for name, value in sorted(choice.items()) if value)
    about = " ".join(ids) or f"failed messages{f' {chosen}' if chosen else ''}"
    action_log.note(cast(Broker, dramatiq.get_broker()).client, what, about, count)


def _show_list(chosen: Selection, limit: int, as_json: bool) -> None:
    letters = chosen.letters.newest(chosen.queues, chosen.wanted, limit=limit)
    if as_json:
        for piece in output.json_array(map(output.summary, letters)):
            click.echo(piece, nl=False)
        return
    if not chosen.total:
        click.echo("No failed messages.")
        return
    rows = output.table(letters, chosen.queues, chosen.kinds)
    click.echo(next(rows))
    shown = 0
    for row in rows:
        click.echo(row)
        shown += 1
    click.echo(f"{shown:,} of {chosen.total:,} shown, newest first; next: queue failed show ID")


def _show_statistics(chosen: Selection, _limit: int, as_json: bool) -> None:
    last: dict[FailureKind, float] = {}
    for queue in chosen.queues:
        for kind, failed_at in chosen.letters.last_failed_at(queue, chosen.wanted).items():
            last[kind] = max(failed_at, last.get(kind, failed_at))
    if as_json:
        for piece in output.json_array(output.statistics_entries(chosen.kinds, last)):
            click.echo(piece, nl=False)
    elif chosen.total:
        click.echo("\n".join(output.statistics(chosen.kinds, last)))
        click.echo(f"{chosen.total:,} in total; next: queue failed show --error CLASS")
    else:
        click.echo("No failed messages.")


def _retry_all(chosen: Selection, *, force: bool) -> Retried:
    if not chosen.total:
        click.echo("No failed messages.")
        return Retried()
    confirm(f"Retry {chosen.described()}?", force=force)
    result = Retried()
    with (
        _reporting_progress(lambda: f"{counted(result.requeued, 'failed message')} retried"),
        progress("Retried", chosen.total) as advance,
    ):
        for batch in chosen.batches():
            result = result.plus(chosen.letters.retry(batch))
            advance(len(batch))
    # The total was counted before the prompt; letters that were removed since then are in no batch.
    return result._replace(gone=max(result.gone, chosen.total - result.requeued - result.undecodable))


def _retry_these(found: list[DeadLetter]) -> Retried:
    if undecodable := [letter.id for letter in found if letter.content is None]:
        raise click.ClickException(
            f"nothing was changed: {_listed(undecodable)} cannot be decoded, so only `queue failed remove` is possible"
        )
    result = Retried()
    for part in _by_queue(found):
        result = result.plus(_letters().retry(part))
    return result


def _remove_all(chosen: Selection) -> int:
    removed = 0
    with (
        _reporting_progress(lambda: f"{counted(removed, 'failed message')} removed"),
        progress("Removed", chosen.total) as advance,
    ):
        for batch in chosen.batches():
            removed += chosen.letters.remove(batch)
            advance(len(batch))
    return removed


@contextmanager
def _reporting_progress(done: Callable[[], str]) -> Iterator[None]:
    """Report in one line what was done before an error of Redis or Ctrl-C, perhaps without the last batch."""
    try:
        yield
    except redis.RedisError as error:
        raise click.ClickException(f"Redis does not answer: {error}; at least {done()}, the others stay") from error
    except KeyboardInterrupt:
        raise click.ClickException(f"stopped; at least {done()}, the others stay") from None


def _choose(*, queue: str | None, actor: str | None, error: str | None) -> Selection:
    """Return the selected letters. Raises ClickException for an unknown name."""
    letters = _letters()
    # First, so that messages that fail from now on are not selected.
    began_at = letters.now()
    known = _known_queues()
    _require("queue", queue, known)
    counts = {name: letters.counts(name) for name in known}
    kinds = {kind for of_queue in counts.values() for kind in of_queue}
    _require("actor", actor, {kind.actor for kind in kinds} | dramatiq.get_broker().get_declared_actors())
    _require("error", error, {kind.error for kind in kinds})
    wanted = Filter(actor, error)
    matching = {
        name: {kind: number for kind, number in counts[name].items() if wanted.matches(kind)}
        for name in sorted([queue] if queue else known)
    }
    return Selection(letters, wanted, matching, began_at)


def _find(ids: Sequence[str]) -> list[DeadLetter]:
    """Return the letters with these ids. Raises ClickException if one is unknown."""
    ids = list(dict.fromkeys(ids))
    found = _letters().find(_known_queues(), ids)
    if unknown := [id_ for id_ in ids if id_ not in found]:
        raise click.ClickException(f"no failed message has the id {_listed(unknown)}: type queue failed show")
    return [found[id_] for id_ in ids]


def _letters() -> DeadLetters:
    return cast(Broker, dramatiq.get_broker()).dead_letters


def _known_queues() -> set[str]:
    return _letters().queues() | dramatiq.get_broker().get_declared_queues()


def _require(what: str, name: str | None, known: set[str]) -> None:
    if name is not None and name not in known:
        raise click.ClickException(
            f"unknown {what} {escaped(name)}: expected one of {_listed(sorted(known)) or 'none'}"
        )


def _refuse_both_or_neither(ids: tuple[str, ...], everything: bool, choice: dict[str, str | None]) -> None:
    if ids and everything:
        raise click.UsageError("IDs cannot be combined with --all")
    if not ids and not everything:
        raise click.UsageError("expected the IDs of failed messages, or --all")
    if ids and any(choice.values()):
        raise click.UsageError("--queue, --actor and --error require --all")


def _by_queue(found: list[DeadLetter]) -> list[list[DeadLetter]]:
    queues = dict.fromkeys(letter.queue for letter in found)
    return [[letter for letter in found if letter.queue == queue] for queue in queues]


def _listed(names: Sequence[str]) -> str:
    """Return the first ten names as text."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(escaped(name) for name in names[:10]) + more
