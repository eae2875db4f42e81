"""The keys of everything that the queue stores in Redis.

For each queue; the first two and .DQ are dramatiq's own, so a stock dramatiq producer can send:

dramatiq:<queue>                    list of the ids of ready messages, next one at the head
dramatiq:<queue>.msgs               hash: id -> payload, from enqueueing until the message is completed or dead-lettered
dramatiq:<queue>.delayed            sorted set: ids of messages that are not due yet, by the time (ms) when they are
dramatiq:<queue>.deliveries         hash: id -> how often it was delivered to a worker that did not requeue it untouched
dramatiq:<queue>.parked             sorted set of the ids that wait for the limit of their actor (see lanes.lua)
dramatiq:<queue>.lanes              sorted set: limits that messages wait for, by the time (ms) when they are looked at
dramatiq:<queue>.slots              sorted set: the claimed messages of actors with a limit
tandem:held:<worker>:<queue>        sorted set of the ids that a worker has claimed, in the order of claiming
tandem:bell:<queue>                 list of notifications, a few at most: each element wakes one idle worker
dramatiq:<queue>.DQ                 list of the ids of delayed messages that dramatiq's own broker has sent
dramatiq:<queue>.DQ.msgs            hash: id -> payload of such a message
dramatiq:<queue>.XQ                 sorted set: ids of dead letters by the time (ms) when they failed
dramatiq:<queue>.XQ.msgs            hash: id -> payload of a dead letter
dramatiq:<queue>.XQ.kinds           hash: id -> kind, which is actor and class of the error separated by a tab
dramatiq:<queue>.XQ.counts          hash: kind -> number of dead letters

For all queues:

tandem:heartbeats                   sorted set: workers by the time (ms) of their last heartbeat
tandem:queues                       set of the queues that messages were ever sent to or consumed from
tandem:paused                       set of the queues from which no worker claims messages
tandem:workers                      hash: worker -> JSON of its state (see heartbeat.py)
tandem:wake:<worker>                list that ends this worker's wait for messages
tandem:stop                         id of the last request that all workers stop
tandem:alone:<worker>               queue, tab, id of the quarantined message of this worker's isolated run (see
                                    recovery.py)
tandem:counts:<seconds>:<n>         hash: actor, tab, outcome -> messages that ended so in the n-th time bucket of this
                                    many seconds since 1970 (see statistics.py)
tandem:times:<n>                    hash: how long messages waited and ran in the n-th minute since 1970
tandem:totals:<queue>               hash: how many messages ever ended, by actor and outcome (see totals.py)
tandem:actors:<queue>               set of the actors that have totals of their own (see totals.py)
tandem:handled                      list of the last messages that ended, newest first (see totals.py)
tandem:restarts                     hash: reason -> workers that stopped for it
tandem:cancel:<worker>              set of the ids of running messages that this worker is to interrupt
tandem:actions                      list of what operators have done, newest first (see operate/action_log.py)
tandem:rate:<queue>                 time (ms) when a queue with a rate is on schedule again (see rate.lua)
tandem:rate:<queue>:<lane>          the same of an actor, or of one of its keys (see lanes.lua)
tandem:relayed:<key>                mark of a message that was sent from an outbox and may still be in it
tandem:alerts                       hash: name -> JSON of an alert about the queue (see monitor/alert_manager.py)

Every id belongs to one message, and is in exactly one of ready, delayed, parked, a worker's claimed set and dead
letters.
"""

from __future__ import annotations

#: Of dramatiq's own broker, if none is chosen, and so of the keys that a stock producer uses.
NAMESPACE = "dramatiq"
HEARTBEATS = "tandem:heartbeats"
QUEUES = "tandem:queues"
PAUSED = "tandem:paused"
WORKERS = "tandem:workers"
STOP = "tandem:stop"
ALERTS = "tandem:alerts"
HANDLED = "tandem:handled"
RESTARTS = "tandem:restarts"
ACTIONS = "tandem:actions"


def ready(queue: str) -> str:
    return f"dramatiq:{queue}"


def payloads(queue: str) -> str:
    return f"dramatiq:{queue}.msgs"


def delayed(queue: str) -> str:
    return f"dramatiq:{queue}.delayed"


def deliveries(queue: str) -> str:
    return f"dramatiq:{queue}.deliveries"


def parked(queue: str) -> str:
    return f"dramatiq:{queue}.parked"


def lanes(queue: str) -> str:
    return f"dramatiq:{queue}.lanes"


def slots(queue: str) -> str:
    return f"dramatiq:{queue}.slots"


def notify(queue: str) -> str:
    return f"tandem:bell:{queue}"


def wake(worker: str) -> str:
    return f"tandem:wake:{worker}"


def isolated(worker: str) -> str:
    return f"tandem:alone:{worker}"


def claimed(worker: str, queue: str) -> str:
    return f"tandem:held:{worker}:{queue}"


def stock_delayed(queue: str) -> str:
    return f"dramatiq:{queue}.DQ"


def stock_delayed_payloads(queue: str) -> str:
    return f"dramatiq:{queue}.DQ.msgs"


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


def totals(queue: str) -> str:
    return f"tandem:totals:{queue}"


def canceled(worker: str) -> str:
    return f"tandem:cancel:{worker}"


def relayed(key: str) -> str:
    return f"tandem:relayed:{key}"


def times(minute: int) -> str:
    return f"tandem:times:{minute}"
