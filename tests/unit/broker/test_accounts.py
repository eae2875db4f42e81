"""The users of the embedded Redis, and who logs in as whom."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tandem.broker import accounts
from tandem.broker.accounts import OPERATOR, USERS, credentials, current_user, write
from tandem.broker.connection import connect_to


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(accounts, "FOLDER", tmp_path / "redis-users")
    monkeypatch.setattr(accounts, "ACL_FILE", tmp_path / "redis.acl")
    return tmp_path


@pytest.mark.parametrize(
    ("group", "user"),
    [
        *[("web", "web"), ("worker", "worker"), ("init", "worker"), ("monitor", "monitor")],
        *[("", "operator"), ("x", "operator")],
    ],
)
def test_a_program_logs_in_as_itself_and_a_person_as_the_operator(
    group: str, user: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISOR_GROUP_NAME", group)
    write()
    assert current_user() == user
    options = connect_to("unix:///run/tandem/redis.sock").connection_pool.connection_kwargs
    assert (options["username"], options["password"]) == (user, (folder / "redis-users" / user).read_text())
    assert "username" not in connect_to("redis://elsewhere").connection_pool.connection_kwargs


def test_without_users_no_credentials_are_used(folder: Path) -> None:
    assert credentials() == {}


def test_redis_gets_digests_only_and_a_restart_of_it_changes_no_password(folder: Path) -> None:
    write()
    first = accounts.ACL_FILE.read_text()
    write()

    assert accounts.ACL_FILE.read_text() == first
    # Without its rights Redis would drop every transaction of its file at the next start.
    assert first.splitlines()[0] == "user default off ~* &* +@all"
    for name in USERS:
        password = (folder / "redis-users" / name).read_text()
        assert len(password) >= 40
        assert password not in first
        assert f"user {name} on #{hashlib.sha256(password.encode()).hexdigest()} " in first


def test_other_users_cannot_read_them(folder: Path) -> None:
    write()
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}


def test_only_the_operator_may_do_what_is_dangerous() -> None:
    assert [name for name, rights in USERS.items() if "-@admin -@dangerous" not in rights] == [OPERATOR]
