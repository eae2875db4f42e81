"""New work ends while there is still room for what was accepted."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import dramatiq
import pytest
import redis
from flask.testing import FlaskClient

from tandem import runtime
from tandem.broker import disk
from tandem.broker.disk import Disk
from tandem.broker.idempotency import DiskFull
from tandem.config.settings import Settings
from tandem.config.values import MIB

TEXT = {"text": "The house is beautiful.", "source": "en", "target": "es"}


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=size // 4096, f_frsize=4096))


def test_it_says_how_much_is_free_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 63 * MIB)
    said = Disk(64 * MIB).shortage()
    assert said.startswith("63 MiB are free on the disk of /data, and new work is refused below 64M (DISK_FREE_LIMIT)")
    free(monkeypatch, 64 * MIB)
    assert Disk(64 * MIB).shortage() == ""


def test_a_disk_that_cannot_be_seen_refuses_nothing(tmp_path: Path) -> None:
    assert Disk(64 * MIB, str(tmp_path / "nothing")).shortage() == ""


def test_of_a_redis_elsewhere_no_disk_is_known_and_0_switches_it_off() -> None:
    assert Disk.of(Settings()) == Disk(64 * MIB)
    assert Disk.of(Settings(disk_free_limit=0)) is None
    assert Disk.of(Settings.model_validate({"redis_url": "redis://elsewhere"})) is None


def test_post_gets_503_with_retry_after_and_stores_nothing(
    client: FlaskClient, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, MIB)
    before = redis_client.dbsize()

    answer = client.post("/notes", json=TEXT)

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "disk is nearly full" in answer.get_json()["detail"]
    assert redis_client.dbsize() == before


def test_a_message_of_any_workload_is_refused_but_not_one_of_a_running_message(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = runtime.get_broker()
    actor = next(iter(broker.actors.values()))
    free(monkeypatch, MIB)
    with pytest.raises(DiskFull, match="1 MiB are free"):
        broker.enqueue(actor.message())

    monkeypatch.setattr(broker.in_flight, "running", lambda: [object()])
    sent = broker.enqueue(actor.message())
    assert isinstance(sent, dramatiq.Message)


def test_readyz_fails_below_the_limit(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"role": "master", "loading": 0, "maxmemory": 0, "used_memory": 1}
    monkeypatch.setattr(redis.Redis, "info", lambda _self: good | {"redis_version": "8"})
    free(monkeypatch, MIB)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "1 MiB are free" in answer.get_json()["checks"]["queue"]["detail"]


def test_the_folder_is_the_one_of_the_volume() -> None:
    assert Path(disk.FOLDER) == Path("/data")
