"""What version 0.1 has stored is handled by this version: messages that wait, ran or failed, and paused queues.

old_data/make.sh made the data: a container of 0.1, killed while a message ran.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker.client import DockerClient

from tests.integration.containers import Start
from tests.integration.tandem import IMAGE, LABEL, Tandem, await_true

ARCHIVE = Path(__file__).parent / "old_data" / "data-0.1.tar.gz"
UNPACK = "tar --extract --gzip --file /archive --directory / && chown -R 10001:10001 /data"


@pytest.fixture
def volume() -> Iterator[str]:
    """The name of a volume with the data of 0.1."""
    client = DockerClient()
    made = client.volumes.create(f"tandem-test-{uuid4().hex[:12]}", labels={LABEL: "data"})
    mounts = {made.name: {"bind": "/data", "mode": "rw"}, str(ARCHIVE): {"bind": "/archive", "mode": "ro"}}
    client.containers.run(IMAGE, ["sh", "-c", UNPACK], volumes=mounts, user="0:0", remove=True, labels={LABEL: "data"})
    yield made.name
    made.remove(force=True)


def queue(tandem: Tandem, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(tandem.output("queue", "stats", "--json"))["queues"]
    return next(one for one in found if one["name"] == name)


def test_messages_of_0_1_are_all_there_and_are_handled(volume: str, start: Start) -> None:
    tandem = start(options={"data": volume}).await_healthy()

    # The message that ran when its worker was killed, with its whole container.
    await_true(lambda: tandem.noted("napped"), seconds=40, what="the message of the lost worker runs again")
    work = queue(tandem, "work")
    assert (work["paused"], work["failed"]) == (True, 2), work
    assert (work["ready"], work["delayed"]) in {(20, 2), (21, 1)}, work
    failed = json.loads(tandem.output("queue", "failed", "show", "--json"))
    assert [(one["actor"], one["error"]) for one in failed] == [("fail", "RuntimeError")] * 2

    tandem.output("queue", "resume", "work")

    await_true(lambda: len(tandem.noted("counted")) == 21, seconds=20, what="messages that waited")
    assert sorted(map(int, tandem.noted("counted"))) == list(range(21))
    assert queue(tandem, "work")["delayed"] == 1
    tandem.output("queue", "failed", "retry", *[one["id"] for one in failed])
    await_true(lambda: sorted(set(tandem.noted("failed"))) == ["0", "1"], seconds=20, what="dead letters run again")
    assert len(tandem.noted("napped")) == 1
