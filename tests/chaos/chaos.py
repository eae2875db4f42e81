"""Run real containers under load, kill at random, and check the promises of the design for every message.

`tests/chaos/run --messages 10000 --kills 200` builds the images and calls this. The plan is drawn from the seed,
which is printed first: the same seed sends the same messages and performs the same kills in the same order.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from testcontainers.core.network import Network

from tests.chaos.cluster import Cluster
from tests.chaos.killer import Killer
from tests.chaos.plan import Step, draw
from tests.chaos.report import Report, evaluate
from tests.chaos.sender import Sender

# Kills between two lines of progress.
REPORT_EVERY = 10
LOG_LINES = 60


def run(cluster: Cluster, steps: list[Step]) -> Report:
    """Send and kill according to the plan, and evaluate the result. The cluster must be started."""
    began = time.monotonic()
    sender, killer = Sender(cluster.tandems), Killer(cluster)
    sender.start()
    for number, step in enumerate(steps, start=1):
        for request in step.requests:
            sender.send(request)
        killer.do(step.kill)
        if number % REPORT_EVERY == 0:
            _report(f"{number} of {len(steps)} kills, {len(sender.sent.accepted)} messages accepted, {_left(cluster)}")
    cluster.revive()
    sender.finish()
    _report(f"all accepted, {_left(cluster)}")
    report = evaluate(cluster, sender, killer, sum(len(request) for step in steps for request in step.requests))
    sender.stop()
    report.seconds = time.monotonic() - began
    return report


def _left(cluster: Cluster) -> dict[str, int] | str:
    try:
        return cluster.left()
    except AssertionError as error:  # the report says whether it recovers
        return str(error)


def _report(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())}  {text}", flush=True)


def main() -> int:
    """Return exit code 1 if a promise was broken, after printing the broken promises and the end of the logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, help="the seed of an earlier run, to repeat it")
    parser.add_argument("--external", action="store_true", help="two containers with a Redis in a third one")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    _report(f"seed {seed}, {options.messages} messages, {options.kills} kills, external: {options.external}")
    steps = draw(seed, messages=options.messages, kills=options.kills, external=options.external)
    with Network() as network:
        cluster = Cluster(network, external=options.external)
        try:
            report = run(cluster.start(), steps)
            _report(f"seed {seed}\n{report.summary()}")
            for line in report.broken:
                print(f"BROKEN    {line}")
            if report.broken:
                print(cluster.logs(LOG_LINES))
        finally:
            cluster.remove()
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
