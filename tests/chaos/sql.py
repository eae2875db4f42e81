"""Kills everything around a database, each time at a chosen moment, and then looks at every row.

Clients hand in entries; each is settled by a message that was sent in the transaction of its row, and receipted by one
that was sent in the transaction of the settlement (tests/sqlapp/ledger.py). Workers, web, the program outbox, Redis,
the database and the container are killed right before and right after commits, sendings and acknowledgements.

    .venv/bin/python -m tests.chaos.sql [--messages 3000] [--kills 60] [--database-restarts 0] [--seed N]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product

import httpx
from docker.errors import DockerException
from testcontainers.core.network import Network

from tests.integration.databases import SQLAPP_IMAGE, Server, server
from tests.integration.tandem import Tandem, await_true

ADMIN_URL = "postgresql://postgres:postgres@postgres/postgres"
SENDERS = 4
# Numbers from here on are refused by the application after it has sent their messages.
REFUSED = 1_000_000
POINT_SECONDS = 4.0
DRAIN_SECONDS = 120.0
# Of a client: everything can be down for a while, and again when it is back.
PATIENCE_SECONDS = 300.0
KILLED = ("itself", "redis", "database", "container")
POINTS = [
    *product(("worker",), ("before", "after"), ("commit", "send", "ack"), KILLED),
    *product(("web",), ("before", "after"), ("commit", "send"), KILLED),
]
POINTS_OF_OUTBOX = [*product(("outbox",), ("before", "after"), ("send",), KILLED)]


@dataclass
class Report:
    """What a run did, and each promise that was broken."""

    messages: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """Return it in a few lines."""
        kills = ", ".join(f"{count} {name}" for name, count in sorted(self.reached.items()))
        lines = [f"{self.messages} entries, {sum(self.reached.values())} kills ({kills}) in {self.seconds:.0f} s"]
        return "\n".join([*lines, *(self.broken or ["0 promises broken"])])


@contextmanager
def containers() -> Iterator[tuple[Tandem, Server]]:
    """Run the application and its database."""
    with Network() as network, server("postgres", network) as database:
        settings = {"DATABASE_URL": database.url, "ADMIN_URL": ADMIN_URL, "ALERT_INTERVAL": "3600", "WEB_WORKERS": "2"}
        tandem = Tandem(network, settings, image=SQLAPP_IMAGE)
        try:
            yield tandem.start().await_healthy(), database
        finally:
            tandem.remove()


class Run:
    """One run: senders in threads, kills on the calling one."""

    def __init__(self, tandem: Tandem, database: Server, seed: int) -> None:
        self._tandem, self._database = tandem, database
        self._random = random.Random(seed)  # noqa: S311
        self._points = iter(self._random.sample(POINTS * 4, k=len(POINTS) * 4))
        self._outbox_points = iter(self._random.sample(POINTS_OF_OUTBOX * 20, k=len(POINTS_OF_OUTBOX) * 20))
        self.report = Report()

    def run(self, messages: int, kills: int, database_restarts: int) -> Report:
        """Hand in the messages while things are killed, wait until all is done, and look at every row."""
        began = time.monotonic()
        self.report.messages = messages
        with ThreadPoolExecutor(SENDERS) as pool:
            # As slow as the kills are, so that there is always something under way.
            pace = max(kills, database_restarts * 5) * 1.2 / messages * SENDERS
            sending = [pool.submit(self._hand_in, range(first, messages, SENDERS), pace) for first in range(SENDERS)]
            while self._kills() < kills and not all(one.done() for one in sending):
                self._kill()
            for _ in range(database_restarts):
                time.sleep(self._random.uniform(2, 5))
                self._database.docker.restart(timeout=5)
                self.report.reached["restart of the database"] += 1
            for one in sending:
                self._revive_until(one)
        while self._kills() < kills:
            more = range(self.report.messages, self.report.messages + 20)
            self.report.messages += len(more)
            with ThreadPoolExecutor(1) as pool:
                handing_in = pool.submit(self._hand_in, more, 0.05)
                self._kill()
                self._revive_until(handing_in)
        self._disarm()
        self._retry_poison()
        self._await_end()
        self._check()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _revive_until(self, done: Future[None]) -> None:
        while not done.done():
            self._revive()
            time.sleep(0.2)
        done.result()

    def _kills(self) -> int:
        return sum(count for name, count in self.report.reached.items() if not name.startswith("restart"))

    def _hand_in(self, numbers: range, pace: float) -> None:
        for number in numbers:
            self._put(f"/entries/{number}", 201)
            if number % 5 == 0:
                self._put(f"/refused/{REFUSED + number}", 422)
            time.sleep(pace)

    def _put(self, path: str, wanted: int) -> None:
        """Repeat a request until it gets the answer that is wanted, as a careful client does."""
        deadline, status = time.monotonic() + PATIENCE_SECONDS, 0
        while time.monotonic() < deadline:
            try:
                status = self._tandem.request("PUT", path, timeout=5).status_code
            except (httpx.HTTPError, OSError, DockerException):  # it is dead, or has another port now
                status = 0
            if status == wanted:
                return
            time.sleep(0.1)
        self.report.broken.append(f"PUT {path} was never answered with {wanted}, the last answer was {status}")

    def _kill(self) -> None:
        """Arm a point, and wait until it is reached; also one of the outbox, which has work after some kills only."""
        point = " ".join(next(self._points))
        self._arm(" ".join(next(self._outbox_points)))
        self._arm(point)
        who, *_, what = point.split()
        deadline = time.monotonic() + POINT_SECONDS
        while time.monotonic() < deadline:
            if not self._is_armed(who):
                self.report.reached[f"{what} by {who}"] += 1
                print(f"{self._kills():>4}  {point}", flush=True)
                return
            time.sleep(0.1)

    def _revive(self) -> None:
        """Start what was killed: Docker itself would wait longer after each time."""
        for container in (self._tandem.docker, self._database.docker):
            container.reload()
            if container.status == "exited":
                container.start()

    def _arm(self, point: str) -> None:
        def armed() -> bool:
            self._revive()
            answer = self._tandem.request("POST", "/kill-points", json={"point": point}, timeout=5)
            return answer.status_code == 204

        with_retries(armed)

    def _is_armed(self, who: str) -> bool:
        ran = subprocess.run(
            ["docker", "exec", self._tandem.docker.id or "", "test", "-e", f"/run/tandem/kill-points/{who}"],
            capture_output=True,
            timeout=20,
        )
        # Neither there, nor a container to look into: it was reached.
        return ran.returncode == 0

    def _disarm(self) -> None:
        def disarmed() -> bool:
            self._revive()
            return self._tandem.run("rm", "-rf", "/run/tandem/kill-points")[0] == 0

        with_retries(disarmed)

    def _retry_poison(self) -> None:
        """Retry messages that were there when a worker was killed for the third time: dead letters, as promised."""

        def retried() -> bool:
            self._revive()
            code, output = self._tandem.run("queue", "failed", "retry", "--error", "WorkerKilled", "--all", "--force")
            print(output.strip().splitlines()[-1:], flush=True)
            return code in (0, 1)

        with_retries(retried)

    def _await_end(self) -> None:
        def is_done() -> bool:
            self._revive()
            try:
                ((receipts, waiting),) = self._database.numbers(
                    "SELECT (SELECT count(DISTINCT entry) FROM receipts), (SELECT count(*) FROM tandem_outbox)"
                )
            except AssertionError:
                return False  # the database starts again
            return receipts >= self.report.messages and waiting == 0

        try:
            await_true(is_done, seconds=DRAIN_SECONDS, what="every entry has its receipt")
        except AssertionError as error:
            self.report.broken.append(str(error))

    def _check(self) -> None:
        entries = {number for (number,) in self._database.numbers("SELECT number FROM entries")}
        expected = set(range(self.report.messages))
        settled = Counter(self._database.numbers("SELECT entry, part FROM settlements"))
        wanted: Counter[tuple[int, ...]] = Counter(
            {(number, 0): 1 for number in expected} | {(number, 1): 1 for number in expected if number % 10 == 0}
        )
        receipts = Counter(number for (number,) in self._database.numbers("SELECT entry FROM receipts"))
        ((waiting,),) = self._database.numbers("SELECT count(*) FROM tandem_outbox")
        for what, count in {
            "entries lost": len(expected - entries),
            "rows of refused requests": len(entries - expected),
            "settlements lost": (wanted - settled).total(),
            "settlements doubled or of nobody": (settled - wanted).total(),
            "receipts lost": (Counter(expected) - receipts).total(),
            "receipts doubled or of rolled-back rows": (receipts - Counter(expected)).total(),
            "messages left in the outbox": waiting,
        }.items():
            if count:
                self.report.broken.append(f"{count} {what}")
        stats = self._tandem.output("queue", "failed", "show", "--json")
        if stats.strip() != "[]":
            self.report.broken.append(f"dead letters: {stats[:500]}")


def with_retries(step: object, seconds: float = 60) -> None:
    """Repeat a step until it returns True: containers die and come back."""

    def tried() -> bool:
        try:
            return bool(step())  # type: ignore[operator]
        except Exception:
            return False

    await_true(tried, seconds=seconds, what="a container that answers")


def main() -> int:
    """Run it, print the report, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--database-restarts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with containers() as (tandem, database):
        report = Run(tandem, database, chosen.seed).run(chosen.messages, chosen.kills, chosen.database_restarts)
        print(report.summary())
        if report.broken:
            print(tandem.logs()[-8000:])
    return bool(report.broken)


if __name__ == "__main__":
    sys.exit(main())
