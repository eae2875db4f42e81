"""The names of everything that the queue keeps in Redis: the one place that knows them.

Of each queue; the first two are dramatiq's own, so a stock producer can send:

dramatiq:<queue>                    list of the ids of ready messages, next one at the head
dramatiq:<queue>.msgs               hash: id -> payload, from the sending until the message is handled or dead
dramatiq:<queue>.delayed            sorted set: ids of messages that are not due yet, by the time (ms) when they are
dramatiq:<queue>.deliveries         hash: id -> how often it was handed to a worker that did not give it back
tandem:held:<worker>:<queue>        sorted set of the ids that are with a worker, in the order in which it took them
tandem:bell:<queue>                 list whose elements wake idle workers, a few at most
dramatiq:<queue>.XQ                 sorted set: ids of dead letters by the time (ms) of their death
dramatiq:<queue>.XQ.msgs            hash: id -> payload of a dead letter
dramatiq:<queue>.XQ.kinds           hash: id -> kind, which is actor and class of the error with a tab between
dramatiq:<queue>.XQ.counts          hash: kind -> number of dead letters

Of all queues:

tandem:heartbeats                   sorted set: workers by the time (ms) of their last sign
tandem:queues                       set of the queues that were ever sent to or consumed
tandem:paused                       set of the queues that nobody takes messages from
tandem:workers                      hash: worker -> JSON of what it does (see presence.py)
tandem:stop                         name of the last time that all workers were asked to stop
tandem:alone:<worker>               queue, tab, id of the suspect that this worker runs alone (see recovery.py)
tandem:counts:<seconds>:<n>         hash: actor, tab, outcome -> messages that ended so in the n-th stretch of so many
                                    seconds since 1970 (see statistics.py)
tandem:times:<n>                    hash: how long messages waited and ran in the n-th minute since 1970
tandem:alerts                       hash: name -> JSON of an alert about the queue (see operations/board.py)

Every id is a message's own, and in exactly one of list, delayed, a worker's set and dead letters.
"""

from __future__ import annotations

HEARTBEATS = "tandem:heartbeats"
QUEUES = "tandem:queues"
PAUSED = "tandem:paused"
WORKERS = "tandem:workers"
STOP = "tandem:stop"
ALERTS = "tandem:alerts"


def ready(queue: str) -> str:
    return f"dramatiq:{queue}"


def payloads(queue: str) -> str:
    return f"dramatiq:{queue}.msgs"


def delayed(queue: str) -> str:
    return f"dramatiq:{queue}.delayed"


def deliveries(queue: str) -> str:
    return f"dramatiq:{queue}.deliveries"


def bell(queue: str) -> str:
    return f"tandem:bell:{queue}"


def alone(worker: str) -> str:
    return f"tandem:alone:{worker}"


def held(worker: str, queue: str) -> str:
    return f"tandem:held:{worker}:{queue}"


def dead(queue: str) -> str:
    return f"dramatiq:{queue}.XQ"


def dead_payloads(queue: str) -> str:
    return f"dramatiq:{queue}.XQ.msgs"


def dead_kinds(queue: str) -> str:
    return f"dramatiq:{queue}.XQ.kinds"


def dead_counts(queue: str) -> str:
    return f"dramatiq:{queue}.XQ.counts"


def counts(step: int, number: int) -> str:
    return f"tandem:counts:{step}:{number}"


def times(minute: int) -> str:
    return f"tandem:times:{minute}"
