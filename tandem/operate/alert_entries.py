"""The records of raised alerts and their stores: a file for the container's own alerts, Redis for the shared ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import redis

from tandem.broker import keys
from tandem.broker.connection import text as decoded
from tandem.support.files import write_atomically

#: The alerts that the monitor raises by its own rules, besides those of the checks of /readyz.
ALERTS = (
    *("queue-depth", "failure-rate", "oldest-message", "delayed-messages", "wrong-tokens", "schedules", "workers"),
    *("memory", "disk", "restarts", "redis", "web"),
)
FILE = Path("/run/tandem/alerts.json")
_SWAP = (Path(__file__).parent / "lua" / "swap.lua").read_text()


@dataclass(frozen=True)
class AlertRecord:
    """An alert from the moment when it is raised until the receiver was notified that it is cleared.

    Times are seconds since 1970. since: when it was raised. seen: when its condition last held. cleared: when, or 0
    while it is raised. notified: the receiver knows that it was raised. changed: since when a notification is pending.
    notifier, tried_at: which host sends it, and when it last tried.
    """

    name: str
    text: str
    value: float | None
    threshold: float | None
    since: float
    seen: float
    cleared: float = 0.0
    notified: bool = False
    changed: float = 0.0
    notifier: str = ""
    tried_at: float = 0.0

    @property
    def is_raised(self) -> bool:
        """Whether its condition holds."""
        return not self.cleared

    @property
    def pending(self) -> str | None:
        """The state of which the receiver has to be notified next: raised, then cleared."""
        if not self.notified:
            return "raised"
        return "cleared" if self.cleared else None


class Store(Protocol):
    """A store of records. Other processes may change them at any time, so a change names the record it replaces."""

    def read(self) -> dict[str, AlertRecord]:
        """Return all records by name."""

    def swap(self, old: AlertRecord | None, new: AlertRecord | None) -> bool:
        """Replace `old` by `new` (None: no record) if it has not changed; return whether it was replaced."""


class FileStore:
    """Records of this container. One process writes; it can be killed at any line, and readers see a whole file."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file

    def read(self) -> dict[str, AlertRecord]:
        """Return all records by name; none if there is no file."""
        try:
            return dict(_records(json.loads(self._file.read_text())))
        except (FileNotFoundError, ValueError, AttributeError):
            return {}

    def swap(self, old: AlertRecord | None, new: AlertRecord | None) -> bool:
        """Replace `old` by `new`. Raises OSError."""
        records = self.read()
        name = _name(old, new)
        if records.pop(name, None) != old:
            return False
        if new is not None:
            records[name] = new
        write_atomically(self._file, json.dumps({name: asdict(record) for name, record in records.items()}, indent=1))
        return True


class RedisStore:
    """Records that all containers on one Redis share. Both methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._swap = client.register_script(_SWAP)

    def read(self) -> dict[str, AlertRecord]:
        """Return all records by name."""
        return dict(_records({decoded(name): _loads(raw) for name, raw in self._client.hgetall(keys.ALERTS).items()}))

    def swap(self, old: AlertRecord | None, new: AlertRecord | None) -> bool:
        """Replace `old` by `new`, if it has not changed."""
        answer = self._swap([keys.ALERTS], [_name(old, new), _dumps(old), _dumps(new)])
        return bool(cast(int, answer))


def raised(client: redis.Redis) -> dict[str, AlertRecord]:
    """Return the raised alerts of this container and of the queue by name. Raises redis.RedisError."""
    records = FileStore().read() | RedisStore(client).read()
    return {name: record for name, record in sorted(records.items()) if record.is_raised}


def _name(old: AlertRecord | None, new: AlertRecord | None) -> str:
    record = old or new
    if record is None:
        raise ValueError("nothing to change")
    return record.name


def _dumps(record: AlertRecord | None) -> str:
    return json.dumps(asdict(record)) if record else ""


def _loads(raw: bytes | str) -> Any:
    with suppress(ValueError):
        return json.loads(raw)
    return None


def _records(values: Mapping[str, Any]) -> Iterator[tuple[str, AlertRecord]]:
    """Yield the valid records; those with the fields of another version are left out."""
    for name, value in values.items():
        with suppress(TypeError):
            yield name, AlertRecord(**value)
