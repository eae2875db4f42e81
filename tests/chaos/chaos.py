"""Runs real containers under load, kills at random, and checks the promises of the design for every message.

`tests/chaos/run --messages 10000 --kills 200` builds the images and calls this. The plan is drawn from the seed,
which is printed first: the same seed sends the same messages and kills the same things in the same order.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from testcontainers.core.network import Network

from tests.chaos.house import House
from tests.chaos.killer import Killer
from tests.chaos.plan import Step, draw
from tests.chaos.sender import Sender
from tests.chaos.verdict import Verdict, judge

# Kills between two lines of progress.
TELL_EVERY = 10
LOG_LINES = 60


def run(house: House, steps: list[Step]) -> Verdict:
    """Sends and kills by the plan, and judges. The house is started."""
    began = time.monotonic()
    sender, killer = Sender(house.tandems), Killer(house)
    sender.start()
    for number, step in enumerate(steps, start=1):
        for request in step.requests:
            sender.send(request)
        killer.do(step.kill)
        if number % TELL_EVERY == 0:
            _tell(f"{number} of {len(steps)} kills, {len(sender.sent.accepted)} messages accepted, {house.left()}")
    house.revive()
    sender.finish()
    _tell(f"all accepted, {house.left()}")
    verdict = judge(house, sender, killer, sum(len(request) for step in steps for request in step.requests))
    sender.stop()
    verdict.seconds = time.monotonic() - began
    return verdict


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())}  {text}", flush=True)


def main() -> int:
    """Exit code 1 when a promise was broken, with what is wrong of which message and the end of the logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, help="of an earlier run, to repeat it")
    parser.add_argument("--external", action="store_true", help="two containers that share a Redis in a third one")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    _tell(f"seed {seed}, {options.messages} messages, {options.kills} kills, external: {options.external}")
    steps = draw(seed, messages=options.messages, kills=options.kills, external=options.external)
    with Network() as network:
        house = House(network, external=options.external)
        try:
            verdict = run(house.start(), steps)
            _tell(f"seed {seed}\n{verdict.summary()}")
            for line in verdict.broken:
                print(f"BROKEN    {line}")
            if verdict.broken:
                print(house.logs(LOG_LINES))
        finally:
            house.remove()
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
