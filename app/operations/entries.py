"""The alerts that are raised, and where they are kept: a file for the container's own, Redis for the shared ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

import redis

from app.queueing import keys
from app.queueing.connection import text as decoded

FILE = Path("/run/tandem/alerts.json")
_SWAP = (Path(__file__).parent / "scripts" / "swap.lua").read_text()


@dataclass(frozen=True)
class Entry:
    """An alert from the moment when it is raised until the receiver was told that it is cleared.

    Times are seconds since 1970. since: it was raised. seen: it held at a look. cleared: when, or 0 while it is
    raised. told: the receiver knows that it was raised. changed: since when there is something to tell. teller,
    tried: which host tries to, and when it last did.
    """

    name: str
    text: str
    value: float | None
    threshold: float | None
    since: float
    seen: float
    cleared: float = 0.0
    told: bool = False
    changed: float = 0.0
    teller: str = ""
    tried: float = 0.0

    @property
    def news(self) -> str | None:
        """What the receiver has to be told next: raised, then cleared."""
        if not self.told:
            return "raised"
        return "cleared" if self.cleared else None


def iso(moment: float) -> str:
    """A time as people and programs read it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store(Protocol):
    """Where entries are kept. Others may change them at any time, so a change names what it changes."""

    def read(self) -> dict[str, Entry]:
        """All entries by name."""

    def swap(self, old: Entry | None, new: Entry | None) -> bool:
        """Puts `new` where `old` is (None: nothing) and tells whether it was still so."""


class FileStore:
    """Entries of this container. One process writes; it can be killed at any line, and readers see a whole file."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file

    def read(self) -> dict[str, Entry]:
        """All entries by name; none where there is no file."""
        try:
            return dict(_entries(json.loads(self._file.read_text())))
        except (FileNotFoundError, ValueError, AttributeError):
            return {}

    def swap(self, old: Entry | None, new: Entry | None) -> bool:
        """Puts `new` where `old` is. Raises OSError."""
        entries = self.read()
        name = _name(old, new)
        if entries.pop(name, None) != old:
            return False
        if new is not None:
            entries[name] = new
        self._file.parent.mkdir(parents=True, exist_ok=True)
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps({name: asdict(entry) for name, entry in entries.items()}, indent=1))
        beside.replace(self._file)
        return True


class RedisStore:
    """Entries that all containers on one Redis share. Both methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._swap = client.register_script(_SWAP)

    def read(self) -> dict[str, Entry]:
        """All entries by name."""
        return dict(_entries({decoded(name): _loads(raw) for name, raw in self._client.hgetall(keys.ALERTS).items()}))

    def swap(self, old: Entry | None, new: Entry | None) -> bool:
        """Puts `new` where `old` is, if it is still there."""
        answer = self._swap([keys.ALERTS], [_name(old, new), _dumps(old), _dumps(new)])
        return bool(cast(int, answer))


def _name(old: Entry | None, new: Entry | None) -> str:
    entry = old or new
    if entry is None:
        raise ValueError("nothing to change")
    return entry.name


def _dumps(entry: Entry | None) -> str:
    return json.dumps(asdict(entry)) if entry else ""


def _loads(raw: bytes | str) -> Any:
    with suppress(ValueError):
        return json.loads(raw)
    return None


def _entries(values: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    """What can be read; the fields of a version that is not this one are none of ours."""
    for name, value in values.items():
        with suppress(TypeError):
            yield name, Entry(**value)
