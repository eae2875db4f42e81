"""The command `queue failed`: dead letters shown, sent again and removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click
import dramatiq
import redis

from app.operations.commands import failed_output as output
from app.operations.commands.asking import confirm, force_option
from app.operations.commands.display import counted
from app.operations.commands.terminal import escaped, progress
from app.queueing.broker import Broker
from app.queueing.dead_letter import Kind, Letter
from app.queueing.dead_letters import DeadLetters, Retried, Wanted

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Chosen:
    """The letters that the options name: their queues and kinds, and how many there were at the beginning."""

    letters: DeadLetters
    wanted: Wanted
    counts: dict[str, dict[Kind, int]]
    began: float

    @property
    def total(self) -> int:
        """How many letters."""
        return sum(number for counts in self.counts.values() for number in counts.values())

    @property
    def queues(self) -> list[str]:
        """The queues that have such letters."""
        return [queue for queue, counts in self.counts.items() if counts]

    @property
    def kinds(self) -> dict[Kind, int]:
        """How many of each kind, over all queues."""
        sums: dict[Kind, int] = {}
        for counts in self.counts.values():
            for kind, number in counts.items():
                sums[kind] = sums.get(kind, 0) + number
        return sums

    def described(self) -> str:
        """For a question, such as `1,234 failed messages of 2 queues`."""
        queues = self.queues
        named = f"the queue {escaped(queues[0])}" if len(queues) == 1 else f"{len(queues)} queues"
        return f"{counted(self.total, 'failed message')} of {named}"

    def batches(self) -> Iterator[list[Letter]]:
        """Those that were dead at the beginning, queue by queue, oldest first: so it ends though some die again."""
        for queue in self.queues:
            yield from self.letters.oldest(queue, self.wanted, until=self.began)


def choosing(command: F) -> F:
    """Adds the options by which letters are chosen."""
    for name, about in (("error", "with this error class"), ("actor", "of this actor"), ("queue", "of this queue")):
        command = click.option(f"--{name}", help=f"Only messages {about}.")(command)
    return command


def these_or_all(command: F) -> F:
    """Adds what names letters to be changed: their ids, or --all with the options by which they are chosen."""
    command = choosing(force_option(command))
    about = "All messages that are dead now, or those of the options."
    command = click.option("--all", "everything", is_flag=True, help=about)(command)
    return click.argument("ids", nargs=-1, metavar="[ID]...")(command)


@click.group()
def failed() -> None:
    """Show, retry and remove messages that failed for good."""


@failed.command()
@click.argument("id_", metavar="[ID]", required=False)
@choosing
@click.option(
    "--max", "limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="So many at most."
)
@click.option("--stats", is_flag=True, help="Count them by error class and actor.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, /, id_: str | None, limit: int, stats: bool, as_json: bool, **choice: str | None) -> None:
    """List failed messages, newest first; with an ID tell everything about one, its arguments included."""
    if id_ is None:
        chosen = _choose(**choice)
        (_show_statistics if stats else _show_list)(chosen, limit, as_json)
        return
    if stats or any(choice.values()) or ctx.get_parameter_source("limit") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("an ID goes alone or with --json")
    (letter,) = _find([id_])
    if as_json:
        click.echo(json.dumps(output.everything(letter), indent=2, default=repr))
    else:
        click.echo("\n".join(output.details(letter)))


@failed.command()
@these_or_all
def retry(ids: tuple[str, ...], everything: bool, force: bool, **choice: str | None) -> None:
    """Send failed messages again, with their retries as if they were new."""
    _refuse_both_or_neither(ids, everything, choice)
    outcome = _retry_all(_choose(**choice), force=force) if everything else _retry_these(_find(ids))
    if outcome == Retried():
        return
    rest = [f"{outcome.gone:,} had been taken away or failed anew meanwhile"] if outcome.gone else []
    if outcome.unreadable:
        rest.append(f"{outcome.unreadable:,} cannot be read and stay")
    told = "; ".join([f"Retried {counted(outcome.sent, 'failed message')}", *rest])
    if not outcome.sent:
        raise click.ClickException(told)
    click.echo(f"{told}; next: queue stats, queue failed show")


@failed.command()
@these_or_all
def remove(ids: tuple[str, ...], everything: bool, force: bool, **choice: str | None) -> None:
    """Forget failed messages for good."""
    _refuse_both_or_neither(ids, everything, choice)
    if everything:
        chosen = _choose(**choice)
        if not chosen.total:
            click.echo("No failed messages.")
            return
        confirm(f"Remove {chosen.described()} for good?", force=force)
        removed = _remove_all(chosen)
    else:
        found = _find(ids)
        confirm(f"Remove {counted(len(found), 'failed message')} for good?", force=force)
        removed = sum(_letters().remove(part) for part in _by_queue(found))
    if not removed:
        raise click.ClickException("nothing was removed: they had been taken away meanwhile")
    click.echo(f"Removed {counted(removed, 'failed message')}; next: queue failed show")


def _show_list(chosen: Chosen, limit: int, as_json: bool) -> None:
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


def _show_statistics(chosen: Chosen, _limit: int, as_json: bool) -> None:
    last: dict[Kind, float] = {}
    for queue in chosen.queues:
        for kind, died in chosen.letters.last_deaths(queue, chosen.wanted).items():
            last[kind] = max(died, last.get(kind, died))
    if as_json:
        for piece in output.json_array(output.statistics_entries(chosen.kinds, last)):
            click.echo(piece, nl=False)
    elif chosen.total:
        click.echo("\n".join(output.statistics(chosen.kinds, last)))
        click.echo(f"{chosen.total:,} in all; next: queue failed show --error CLASS")
    else:
        click.echo("No failed messages.")


def _retry_all(chosen: Chosen, *, force: bool) -> Retried:
    if not chosen.total:
        click.echo("No failed messages.")
        return Retried()
    confirm(f"Retry {chosen.described()}?", force=force)
    outcome = Retried()
    with (
        _telling_how_far(lambda: f"{counted(outcome.sent, 'failed message')} retried"),
        progress("Retried", chosen.total) as advance,
    ):
        for batch in chosen.batches():
            outcome = outcome.plus(chosen.letters.retry(batch))
            advance(len(batch))
    # Counted before the question; what went since then never came in a batch.
    return outcome._replace(gone=max(outcome.gone, chosen.total - outcome.sent - outcome.unreadable))


def _retry_these(found: list[Letter]) -> Retried:
    if unreadable := [letter.id for letter in found if letter.content is None]:
        raise click.ClickException(
            f"nothing was changed: {_listed(unreadable)} cannot be read, so only `queue failed remove` is possible"
        )
    outcome = Retried()
    for part in _by_queue(found):
        outcome = outcome.plus(_letters().retry(part))
    return outcome


def _remove_all(chosen: Chosen) -> int:
    removed = 0
    with (
        _telling_how_far(lambda: f"{counted(removed, 'failed message')} removed"),
        progress("Removed", chosen.total) as advance,
    ):
        for batch in chosen.batches():
            removed += chosen.letters.remove(batch)
            advance(len(batch))
    return removed


@contextmanager
def _telling_how_far(done: Callable[[], str]) -> Iterator[None]:
    """Says in one line what was done before Redis went away or somebody pressed Ctrl-C. The last batch may be too."""
    try:
        yield
    except redis.RedisError as error:
        raise click.ClickException(f"Redis does not answer: {error}; at least {done()}, the others stay") from error
    except KeyboardInterrupt:
        raise click.ClickException(f"stopped; at least {done()}, the others stay") from None


def _choose(*, queue: str | None, actor: str | None, error: str | None) -> Chosen:
    """The letters that are meant. Raises ClickException on a name that nobody knows."""
    letters = _letters()
    # First of all, so that nothing that fails from now on is meant.
    began = letters.now()
    known = _known_queues()
    _require("queue", queue, known)
    counts = {name: letters.counts(name) for name in known}
    kinds = {kind for of_queue in counts.values() for kind in of_queue}
    _require("actor", actor, {kind.actor for kind in kinds} | dramatiq.get_broker().get_declared_actors())
    _require("error", error, {kind.error for kind in kinds})
    wanted = Wanted(actor, error)
    taken = {
        name: {kind: number for kind, number in counts[name].items() if wanted.takes(kind)}
        for name in sorted([queue] if queue else known)
    }
    return Chosen(letters, wanted, taken, began)


def _find(ids: Sequence[str]) -> list[Letter]:
    """The letters with these ids. Raises ClickException when one is unknown."""
    ids = list(dict.fromkeys(ids))
    found = _letters().find(_known_queues(), ids)
    if unknown := [id_ for id_ in ids if id_ not in found]:
        raise click.ClickException(f"no failed message has the id {_listed(unknown)}: `queue failed show` lists them")
    return [found[id_] for id_ in ids]


def _letters() -> DeadLetters:
    return cast(Broker, dramatiq.get_broker()).dead_letters


def _known_queues() -> set[str]:
    return _letters().queues() | dramatiq.get_broker().get_declared_queues()


def _require(what: str, name: str | None, known: set[str]) -> None:
    if name is not None and name not in known:
        raise click.ClickException(f"no {what} is called {escaped(name)}: known are {_listed(sorted(known)) or 'none'}")


def _refuse_both_or_neither(ids: tuple[str, ...], everything: bool, choice: dict[str, str | None]) -> None:
    if ids and everything:
        raise click.UsageError("give IDs or --all, not both")
    if not ids and not everything:
        raise click.UsageError("give the IDs of failed messages, or --all")
    if ids and any(choice.values()):
        raise click.UsageError("--queue, --actor and --error go with --all")


def _by_queue(found: list[Letter]) -> list[list[Letter]]:
    queues = dict.fromkeys(letter.queue for letter in found)
    return [[letter for letter in found if letter.queue == queue] for queue in queues]


def _listed(names: Sequence[str]) -> str:
    """The first ten names."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(escaped(name) for name in names[:10]) + more
