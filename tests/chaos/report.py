"""Check every message after a run against the promises of the design."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import redis

from tests.chaos.cluster import Cluster
from tests.chaos.killer import Killer
from tests.chaos.plan import LIMITS, RATE, Message
from tests.chaos.sender import Sender, written

# Seconds by which the recorded time of a run may differ from that of the kill that ended it.
SLACK = 1.0
# Maximum share of kills that Docker may fail to perform; above it, the run proves too little.
MAX_MISSED = 0.1
#: Returns the number of notes, and the keys of those whose result was stored more than once.
_RECORDS = """
local records, twice = 0, {}
for _, key in ipairs(redis.call('KEYS', 'tandem:note:*')) do
  records = records + 1
  if tonumber(redis.call('HGET', key, 'stored') or 0) > 1 then twice[#twice + 1] = key end
end
return {records, twice}
"""

# The actor's own error, or that of a Redis that did not record its last run.
_EXPECTED_ERRORS = {"RuntimeError"} | {
    name
    for name, error in vars(redis.exceptions).items()
    if isinstance(error, type) and issubclass(error, redis.RedisError)
}


@dataclass
class Report:
    """The result of a run. broken: one line for each broken promise, with its message."""

    counts: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """Summarize the result for people."""
        kills = ", ".join(f"{kind} {count}" for kind, count in self.kills.most_common())
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        lines = [
            f"kills     {self.kills.total()}: {kills}; {len(self.missed)} that Docker could not perform",
            f"messages  {counts}",
            f"promises  {len(self.broken)} broken, in {self.seconds:.0f} s",
        ]
        lines += [f"missed    {reason}" for reason in self.missed[:5]]
        lines += [f"failed    {count} times: {reason}" for reason, count in self.reasons.most_common(5)]
        return "\n".join(lines)


def evaluate(cluster: Cluster, sender: Sender, killer: Killer, planned: int) -> Report:
    """Wait until the queue is empty and check each message."""
    report = Report()
    report.kills.update(kill.kind for kill, _, _ in killer.kills)
    report.missed = killer.missed
    report.broken += [*sender.sent.wrong, *killer.broken]
    tried = len(killer.missed) + len(killer.kills)
    if len(killer.missed) > MAX_MISSED * tried:
        report.broken.append(f"inconclusive: Docker could not perform {len(killer.missed)} of {tried} kills")
    try:
        _evaluate_all(report, cluster, sender, killer, planned)
    except AssertionError as error:
        # Redis does not answer, so no further check is possible.
        report.broken.append(str(error))
    return report


def _evaluate_all(report: Report, cluster: Cluster, sender: Sender, killer: Killer, planned: int) -> None:
    left = cluster.await_empty()
    report.broken += [f"stuck: {place} has {count}" for place, count in left.items()]
    sent = sender.sent
    report.counts["accepted"] = len(sent.accepted)
    report.counts["refusals"] = sent.refusals.total()
    if len(sent.accepted) != planned:
        report.broken.append(f"{planned - len(sent.accepted)} messages were never accepted")
    dead = _dead(cluster)
    _evaluate_messages(report, cluster, sender, killer, dead)
    _evaluate_limits(report, cluster, sender)
    _evaluate_notes(report, cluster, sender, dead)
    report.broken += [f"not healthy at the end: {output}" for output in cluster.unhealthy()]


def _dead(cluster: Cluster) -> dict[str, str]:
    """Return the error of each dead letter, by the first argument of its message."""
    dead = {}
    for queue in ("chaos", "notes"):
        letters = cluster.ask("HGETALL", f"dramatiq:{queue}.XQ.msgs") or {}
        for payload in letters.values():
            message = json.loads(payload)
            dead[message["args"][0]] = message["options"]["attempts"][-1]["error"]
    return dead


def _evaluate_messages(report: Report, cluster: Cluster, sender: Sender, killer: Killer, dead: dict[str, str]) -> None:
    runs: dict[str, list[float]] = defaultdict(list)
    for line in cluster.ask("LRANGE", "chaos:runs", "0", "-1"):
        id_, at = line.split()
        runs[id_].append(float(at))
    for message in sender.sent.accepted.values():
        if message.kind == "note":
            continue
        times = sorted(runs[message.id])
        if message.kind == "single" and not times and message.id not in dead:
            report.counts["dropped as duplicates"] += 1
            continue
        report.counts["runs"] += len(times)
        report.counts[_end(report, message, len(times), dead.get(message.id))] += 1
        if len(times) > message.runs:
            report.counts["ran again"] += 1
            if message.id not in sender.sent.resent and not _was_hit(killer, times[0], times[-1]):
                report.broken.append(f"{message.id} ran at {times}, but nothing was killed meanwhile")


def _evaluate_limits(report: Report, cluster: Cluster, sender: Sender) -> None:
    """Check that no more messages of a key ran at the same time than allowed, and that no key was blocked for ever."""
    intervals: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for line in cluster.ask("LRANGE", "chaos:intervals", "0", "-1"):
        actor, key, begin, end = line.split()
        # An end comes before a begin at the same time.
        intervals[actor, key] += [(float(begin), 1), (float(end), -1)]
    for (actor, key), edges in intervals.items():
        running = list(accumulate(change for _, change in sorted(edges)))
        if max(running) > LIMITS[actor]:
            report.broken.append(f"{max(running)} messages of {actor} with the key {key} ran at the same time")
    wanted = {(one.kind, one.arguments[0]) for one in sender.sent.accepted.values() if one.kind in LIMITS}
    report.broken += [
        f"no message of {actor} with the key {key} ran" for actor, key in sorted(wanted - intervals.keys())
    ]
    starts = sorted(
        float(line.split()[1]) for line in cluster.ask("LRANGE", "chaos:runs", "0", "-1") if line.startswith("rated-")
    )
    most = max((bisect_left(starts, at + 1) - number for number, at in enumerate(starts)), default=0)
    report.counts["most of the rate 20/s in a second"] = most
    # Those that were claimed before a process was stopped start together with those of the next second.
    if most > 2 * RATE:
        report.broken.append(f"{most} messages of rated started in a second, whose rate is {RATE}/s")


def _end(report: Report, message: Message, times: int, error: str | None) -> str:
    """Return how a message ended: completed, dead as expected, dead after three kills, or lost."""
    if error == "WorkerKilled":
        return "dead after three kills"
    if message.kind == "always_fails":
        if error not in _EXPECTED_ERRORS:
            report.broken.append(f"lost: {message.id} ran {times} times and is not a dead letter ({error})")
            return "lost"
        return "dead"
    if error is not None:
        report.broken.append(f"{message.id} became a dead letter of {error}")
        return "dead"
    if times < message.runs:
        report.broken.append(f"lost: {message.id} ran {times} of {message.runs} times and is not a dead letter")
        return "lost"
    return "completed"


def _was_hit(killer: Killer, first: float, last: float) -> bool:
    return any(began - SLACK < last and over + SLACK > first for _, began, over in killer.kills)


def _evaluate_notes(report: Report, cluster: Cluster, sender: Sender, dead: dict[str, str]) -> None:
    sent = sender.sent
    for name, id_ in sent.notes.items():
        end = sender.note(id_, tries=100)
        if end is None:
            report.broken.append(f"{name}: note {id_} not found")
            continue
        report.counts[f"notes {end['status']}"] += 1
        if id_ in sent.done and sent.done[id_] != end:
            report.broken.append(f"{name}: changed after its end: {sent.done[id_]} became {end}")
        _evaluate_end(report, name, sent.accepted[name], end, dead)
    records, twice = cluster.ask("EVAL", _RECORDS, "0")
    report.broken += [f"{key}: its result was stored more than once" for key in twice]
    if records != len(sent.notes):
        report.broken.append(f"{len(sent.notes)} notes were accepted, and {records} are stored")


def _evaluate_end(report: Report, name: str, message: Message, end: dict[str, Any], dead: dict[str, str]) -> None:
    if end["status"] == "failed":
        report.reasons[end["error"]] += 1
        if end["id"] not in dead:
            report.broken.append(f"{name}: failed and is not a dead letter: {end['error']}")
    elif end["status"] != "done":
        report.broken.append(f"stuck: {name} is {end['status']}")
    elif end["result"] != written(message)[1]:
        report.broken.append(f"{name}: its result is {end['result']!r}")
