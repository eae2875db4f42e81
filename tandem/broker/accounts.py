"""The users of the embedded Redis, each with the rights that its processes need, and how a process logs in.

The passwords are generated at a container's start and kept in its memory, readable by its own user only. They prevent a
command that is injected into a connection (through a bug or a forged URL) from changing to another user; they do not
isolate processes of the same user id. Standard library only: the program that starts redis-server imports this module.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from tandem.support.files import write_atomically

FOLDER = Path("/run/tandem/redis-users")
ACL_FILE = Path("/run/tandem/redis.acl")
#: The user for people and for the health check.
OPERATOR = "operator"

#: The rights that Tandem needs on a Redis (docs/how-to/use-another-redis.md); without +info its checks warn that they
#: cannot run.
COMMANDS = (
    "+@read +@write +@keyspace +@pubsub +@transaction +@connection +eval +evalsha +script|load +time "
    "-@admin -@dangerous +info"
)
#: Keys and channels of the platform and of its workloads.
PLATFORM_KEYS = "~tandem:* ~dramatiq:* &tandem:*"
# Actors and routes may use any key.
_ALL_KEYS = "~* &*"
USERS = {
    "web": f"{_ALL_KEYS} {COMMANDS}",
    "worker": f"{_ALL_KEYS} {COMMANDS}",
    "monitor": f"{PLATFORM_KEYS} {COMMANDS}",
    OPERATOR: f"{_ALL_KEYS} +@all",
}
# Login as this user is disabled, but it has all rights: Redis replays the transactions of its append-only file as this
# user, and drops those that it has no right to.
_DEFAULT = "user default off ~* &* +@all"
# Programs that use the account of another program.
_ALIASES = {"init": "worker", "eventlistener": "monitor"}


def current_user() -> str:
    """Return the user of this process: that of its program, or the operator for an interactive process."""
    program = os.environ.get("SUPERVISOR_GROUP_NAME", "")
    program = _ALIASES.get(program, program)
    return program if program in USERS else OPERATOR


def credentials() -> dict[str, str]:
    """Return the options of a client of the embedded Redis; none if it has no users, as on a developer's machine."""
    try:
        return {"username": current_user(), "password": (FOLDER / current_user()).read_text()}
    except FileNotFoundError:
        return {}


def write() -> None:
    """Write the users for redis-server, with passwords that are generated once per container. Raises OSError."""
    lines = [_DEFAULT]
    lines += [f"user {name} on #{_digest(_password(name))} {rights}" for name, rights in USERS.items()]
    write_atomically(ACL_FILE, "\n".join(lines) + "\n", mode=0o600)


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _password(name: str) -> str:
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    path = FOLDER / name
    if not path.exists():
        write_atomically(path, secrets.token_hex(24), mode=0o600)
    return path.read_text()
