"""Looks at every message after a run: what the design promises of it, and what there is."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.chaos.house import House
from tests.chaos.killer import Killer
from tests.chaos.plan import Message
from tests.chaos.sender import Sender, paragraphs

# A run is noted a moment before or after what ended it.
SLACK = 1.0
#: How many of the translations, by their keys, there are and how many still have chunks.
_RECORDS = """
local records, chunks = 0, 0
for _, key in ipairs(redis.call('KEYS', 'tandem:translation:*')) do
  if string.find(key, ':chunks$') then chunks = chunks + 1 else records = records + 1 end
end
return {records, chunks}
"""

# Its own, or that of a Redis that did not let it note its last run.
_ERRORS_OF_DESPAIR = {"RuntimeError"} | {
    name
    for name, error in vars(redis.exceptions).items()
    if isinstance(error, type) and issubclass(error, redis.RedisError)
}


@dataclass
class Verdict:
    """What was found. `broken`: one line for each promise that was not kept, with its message."""

    counts: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    seconds: float = 0.0

    def summary(self) -> str:
        """For people."""
        kills = ", ".join(f"{kind} {count}" for kind, count in self.kills.most_common())
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        lines = [
            f"kills     {self.kills.total()}: {kills}; {self.missed} that Docker could not do",
            f"messages  {counts}",
            f"promises  {len(self.broken)} broken, in {self.seconds:.0f} s",
        ]
        lines += [f"failed    {count} times: {reason}" for reason, count in self.reasons.most_common(5)]
        return "\n".join(lines)


def judge(house: House, sender: Sender, killer: Killer, planned: int) -> Verdict:
    """Waits until the queue is empty and looks at each message."""
    verdict = Verdict()
    verdict.kills.update(kill.kind for kill, _, _ in killer.kills)
    verdict.missed = len(killer.missed)
    verdict.broken += sender.sent.wrong
    left = house.await_empty()
    verdict.broken += [f"stuck: {place} has {count}" for place, count in left.items()]
    sent = sender.sent
    verdict.counts["accepted"] = len(sent.accepted)
    verdict.counts["refusals"] = sent.refusals.total()
    if len(sent.accepted) != planned:
        verdict.broken.append(f"{planned - len(sent.accepted)} messages were never accepted")
    dead = _dead(house)
    _judge_messages(verdict, house, sender, killer, dead)
    _judge_translations(verdict, house, sender, dead)
    verdict.broken += [f"not healthy at the end: {said}" for said in house.ailing()]
    return verdict


def _dead(house: House) -> dict[str, str]:
    """The error of each dead letter, by the first argument of its message."""
    dead = {}
    for queue in ("chaos", "translations"):
        letters = house.ask("HGETALL", f"dramatiq:{queue}.XQ.msgs") or {}
        for payload in letters.values():
            message = json.loads(payload)
            dead[message["args"][0]] = message["options"]["attempts"][-1]["error"]
    return dead


def _judge_messages(verdict: Verdict, house: House, sender: Sender, killer: Killer, dead: dict[str, str]) -> None:
    runs: dict[str, list[float]] = defaultdict(list)
    for line in house.ask("LRANGE", "chaos:runs", "0", "-1"):
        id_, at = line.split()
        runs[id_].append(float(at))
    for message in sender.sent.accepted.values():
        if message.kind == "translate":
            continue
        times = sorted(runs[message.id])
        verdict.counts["runs"] += len(times)
        verdict.counts[_end(verdict, message, len(times), dead.get(message.id))] += 1
        if len(times) > message.runs:
            verdict.counts["ran again"] += 1
            if message.id not in sender.sent.resent and not _was_hit(killer, times[0], times[-1]):
                verdict.broken.append(f"{message.id} ran at {times}, and nothing was killed meanwhile")


def _end(verdict: Verdict, message: Message, times: int, error: str | None) -> str:
    """How a message ended: handled, dead as it has to be, killed too often, or lost."""
    if error == "WorkerKilled":
        return "dead after three kills"
    if message.kind == "despair":
        if error not in _ERRORS_OF_DESPAIR:
            verdict.broken.append(f"lost: {message.id} ran {times} times and is no dead letter ({error})")
            return "lost"
        return "dead"
    if error is not None:
        verdict.broken.append(f"{message.id} became a dead letter of {error}")
        return "dead"
    if times < message.runs:
        verdict.broken.append(f"lost: {message.id} ran {times} of {message.runs} times and is no dead letter")
        return "lost"
    return "handled"


def _was_hit(killer: Killer, first: float, last: float) -> bool:
    return any(began - SLACK < last and over + SLACK > first for _, began, over in killer.kills)


def _judge_translations(verdict: Verdict, house: House, sender: Sender, dead: dict[str, str]) -> None:
    sent = sender.sent
    stored: dict[str, Any] = house.ask("HGETALL", "chaos:stored") or {}
    for name, id_ in sent.translations.items():
        end = sender.translation(id_, tries=100)
        if end is None:
            verdict.broken.append(f"{name}: nobody tells of translation {id_}")
            continue
        verdict.counts[f"translations {end['status']}"] += 1
        if int(stored.get(id_, 0)) > 1:
            verdict.broken.append(f"{name}: its result was stored {stored[id_]} times")
        if id_ in sent.done and sent.done[id_] != end:
            verdict.broken.append(f"{name}: changed after its end: {sent.done[id_]} became {end}")
        _judge_end(verdict, name, sent.accepted[name], end, dead)
    records, chunks = house.ask("EVAL", _RECORDS, "0")
    if records != len(sent.translations):
        verdict.broken.append(f"{len(sent.translations)} translations were accepted, and {records} are stored")
    if chunks > verdict.counts["translations failed"]:
        verdict.broken.append(f"{chunks} translations still have chunks")


def _judge_end(verdict: Verdict, name: str, message: Message, end: dict[str, Any], dead: dict[str, str]) -> None:
    if end["status"] == "failed":
        verdict.reasons[end["error"]] += 1
        if end["id"] not in dead:
            verdict.broken.append(f"{name}: failed and is no dead letter: {end['error']}")
    elif end["status"] != "done":
        verdict.broken.append(f"stuck: {name} is {end['status']}")
    elif end["translation"] != paragraphs(message)[1]:
        verdict.broken.append(f"{name}: its result is {end['translation']!r}")
