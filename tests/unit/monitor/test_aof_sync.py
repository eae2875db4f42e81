"""What the embedded Redis has accepted comes to the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tandem.monitor.aof_sync import AofSync


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("os.fdatasync", lambda file: found.append(Path(f"/proc/self/fd/{file}").readlink().name))
    return found


def test_what_redis_appends_to_is_synced(tmp_path: Path, synced: list[str]) -> None:
    for name in ("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "appendonly.aof.manifest"):
        (tmp_path / name).touch()

    AofSync(tmp_path).sync()

    assert synced == ["appendonly.aof.1.incr.aof"]


def test_before_redis_has_begun_and_while_it_rewrites_nothing_breaks(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    AofSync(tmp_path / "nothing").sync()
    (tmp_path / "gone.incr.aof").touch()

    def gone(_path: Path, _flags: int) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", gone)
    AofSync(tmp_path).sync()
    assert synced == []
