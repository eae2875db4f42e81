"""Runs in the image. Starts one contender's workers, sends messages and prints what was measured as JSON.

Usage: drive.py ADAPTER session --processes 1 --messages 10000 [--marks 40] [--naps]
       drive.py ADAPTER recovery --seconds 60
       drive.py ADAPTER backlog --messages 1000000 --measured 10000
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
import work

BOOT_SECONDS = 40.0
LOST_SECONDS = 10.0
DRAIN_SECONDS = 20.0
NAP = 1.0
BATCH = 500
LOG = Path(f"/tmp/{work.PREFIX.replace(':', '-')}.log")  # noqa: S108

client: Any = redis.Redis.from_url(work.URL, decode_responses=True, socket_timeout=60)


class Workers:
    """The processes of one contender, from their start on."""

    def __init__(self, peer: Any, processes: int) -> None:
        self._commands = peer.workers(processes)
        self._stop = getattr(peer, "STOP", signal.SIGTERM)
        self._log = LOG.open("w")
        self.started = time.monotonic()
        self._running = [self._start(command) for command in self._commands]

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            command, stdout=self._log, stderr=self._log, cwd="/srv/bench", start_new_session=True
        )

    def restart_dead(self) -> None:
        """Starts again what has ended, as supervisor does."""
        for number, process in enumerate(self._running):
            if process.poll() is not None:
                self._running[number] = self._start(self._commands[number])

    def pids(self) -> list[int]:
        """Returns the ids of these processes and of all that they have started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        found = [process.pid for process in self._running]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def signal(self, number: int) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def memory(self) -> float:
        """Returns the MiB of all, shared pages counted in parts (proc(5), smaps_rollup)."""
        kib = 0
        for pid in self.pids():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return kib / 1024

    def stop(self) -> float:
        """Returns the seconds from the signal to the end of all; kills what runs after DRAIN_SECONDS."""
        since, family = time.monotonic(), self.pids()
        for process in self._running:
            process.send_signal(self._stop)
        for process in self._running:
            try:
                process.wait(max(0.1, since + DRAIN_SECONDS - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        seconds = time.monotonic() - since
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return seconds

    def kill(self) -> None:
        """Kills all at once."""
        self.signal(signal.SIGKILL)
        for process in self._running:
            process.wait()
        self._log.close()


class Sender:
    """Sends with the contender's own client, a coroutine or not, one message after the other."""

    def __init__(self, peer: Any) -> None:
        self._peer = peer
        self._loop = asyncio.new_event_loop() if inspect.iscoroutinefunction(peer.send) else None
        if self._loop and hasattr(peer, "start"):
            self._loop.run_until_complete(peer.start())

    def send(self, name: str, *args: float, times: int = 1) -> None:
        if self._loop:
            self._loop.run_until_complete(self._send_async(name, args, times))
            return
        send = self._peer.send
        for _ in range(times):
            send(name, *args)

    async def _send_async(self, name: str, args: tuple[float, ...], times: int) -> None:
        send = self._peer.send
        for _ in range(times):
            await send(name, *args)


def wait(check: Callable[[], Any], seconds: float, what: str, pause: float = 0.01) -> Any:
    """Calls `check` until it returns something true; ends this program with the workers' log after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (seen := check()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {seconds:.0f} s: {what}\n{LOG.read_text()[-2000:]}")
        time.sleep(pause)
    return seen


def marks(since: int = 0) -> list[tuple[int, float]]:
    """Returns which process noted each mark, and how many seconds after its sending."""
    return [(int(pid), float(waited)) for pid, waited in map(str.split, client.lrange(work.MARKS, since, -1))]


def boot(workers: Workers, sender: Sender, processes: int) -> float:
    """Waits until every process has handled a message; returns the seconds until the first one did."""
    sent = 1
    sender.send("mark", time.monotonic())
    wait(marks, BOOT_SECONDS, "the first message completed")
    seconds = time.monotonic() - workers.started
    deadline = time.monotonic() + BOOT_SECONDS
    while len({pid for pid, _ in marks()}) < processes and time.monotonic() < deadline:
        sender.send("mark", time.monotonic(), times=8 * processes)
        sent += 8 * processes
        time.sleep(0.3)
    wait(lambda: len(marks()) >= sent, BOOT_SECONDS, "the first messages completed")
    return seconds


def pick_up(sender: Sender, count: int) -> list[float]:
    """Returns how long (ms) an idle worker needs to begin a message, sent at moments that it cannot know."""
    before = len(marks())
    for number in range(count):
        time.sleep(random.uniform(0.1, 0.8))  # noqa: S311
        sender.send("mark", time.monotonic())
        wait(lambda number=number: len(marks()) > before + number, 30, "an idle worker's answer", 0.002)  # type: ignore[misc]
    return [waited * 1000 for _, waited in marks(before)]


def throughput(workers: Workers, sender: Sender, messages: int) -> dict[str, float]:
    """Returns the messages sent in a second while no worker runs, and those completed in a second then."""
    time.sleep(0.3)
    workers.signal(signal.SIGSTOP)
    since = time.monotonic()
    sender.send("noop", times=messages)
    sent = messages / (time.monotonic() - since)
    return {"enqueued": sent, **completed(workers, messages)}


def completed(workers: Workers, messages: int) -> dict[str, float]:
    """Returns the messages completed in a second, from when the stopped workers go on, and how many never were."""
    client.delete(work.DONE)
    since = last = time.monotonic()
    workers.signal(signal.SIGCONT)
    done = 0
    # A worker that does not acknowledge loses what it has just claimed when a connection breaks.
    while done < messages and time.monotonic() - last < LOST_SECONDS:
        time.sleep(0.01)
        before, done = done, int(client.get(work.DONE) or 0)
        if done > before:
            last = time.monotonic()
    return {"completed": done / (last - since), "lost": max(0, messages - done)}


def drain(workers: Workers, sender: Sender) -> dict[str, float]:
    """Stops the workers while as many messages run as may; each needs NAP seconds from then on."""
    sender.send("nap", NAP, times=work.THREADS)
    wait(lambda: client.llen(work.NAPS), 30, "a nap begun")
    time.sleep(0.1)
    began = client.lrange(work.NAPS, 0, -1).count("began")
    seconds = workers.stop()
    return {"drain": seconds, "naps": began, "finished": client.lrange(work.NAPS, 0, -1).count("ended")}


def session(peer: Any, options: argparse.Namespace) -> dict[str, Any]:
    client.flushall(asynchronous=True)
    sender = Sender(peer)
    workers = Workers(peer, options.processes)
    try:
        result: dict[str, Any] = {"boot": boot(workers, sender, options.processes)}
        if options.marks:
            result["pick_up"] = pick_up(sender, options.marks)
        result |= throughput(workers, sender, options.messages)
        result["memory"] = workers.memory()
        if options.naps:
            result |= drain(workers, sender)
        return result
    finally:
        workers.kill()


def recovery(peer: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the seconds from kill -9 of the process with a message until it runs again, None when it did not."""
    sender = Sender(peer)
    workers = Workers(peer, 1)
    try:
        boot(workers, sender, 1)
        sender.send("hold")
        pid = int(wait(lambda: client.lindex(work.HELD, 0), 30, "the message held").split()[0])
        time.sleep(1)
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while time.monotonic() - killed < options.seconds:
            workers.restart_dead()
            if again := client.lindex(work.HELD, 1):
                return {"seconds": float(again.split()[1]) - killed}
            time.sleep(0.05)
        return {"seconds": None}
    finally:
        workers.kill()


def fill(message: Any, count: int) -> None:
    """Sends the message so many times, each with an id of its own, as a stock producer of dramatiq does."""
    payload = message.encode()
    for first in range(0, count, BATCH):
        ids = [f"{number:08}{message.message_id[8:]}" for number in range(first, min(first + BATCH, count))]
        pipeline = client.pipeline(transaction=False)
        payloads = {id_: payload.replace(message.message_id.encode(), id_.encode()) for id_ in ids}
        pipeline.hset("dramatiq:bench.msgs", mapping=payloads)
        pipeline.rpush("dramatiq:bench", *ids)
        pipeline.execute()


def backlog(peer: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Returns throughput, memory and the time of `queue stats` with so many messages waiting after those measured."""
    from bench.noops import ACTORS

    client.flushall(asynchronous=True)
    sender = Sender(peer)
    workers = Workers(peer, 1)
    try:
        boot(workers, sender, 1)
        workers.signal(signal.SIGSTOP)
        fill(ACTORS["noop"].message(), options.messages + options.measured)
        redis_mib = client.info("memory")["used_memory"] / 2**20
        seconds = []
        for _ in range(3):
            since = time.monotonic()
            subprocess.run(["queue", "stats", "--json"], check=True, stdout=subprocess.DEVNULL)  # noqa: S607
            seconds.append(time.monotonic() - since)
        return {
            **completed(workers, options.measured),
            "memory": workers.memory(),
            "redis": redis_mib,
            "stats": statistics.median(seconds),
        }
    finally:
        workers.kill()
        client.flushall(asynchronous=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter")
    parser.add_argument("what", choices=["session", "recovery", "backlog"])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--measured", type=int, default=10_000)
    parser.add_argument("--marks", type=int, default=0)
    parser.add_argument("--naps", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    peer = importlib.import_module(options.adapter)
    measure = {"session": session, "recovery": recovery, "backlog": backlog}[options.what]
    print(json.dumps(measure(peer, options)))


if __name__ == "__main__":
    main()
