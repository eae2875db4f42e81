"""URLs of a Redis that Sentinels watch."""

from __future__ import annotations

import pytest

from tandem.config import sentinel
from tandem.config.sentinel import Address
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis+sentinel://s/main", Address(False, "", "", [("s", 26379)], "main", 0)),
        (
            "redis+sentinel://a:1,b,c:3/my-redis/2",
            Address(False, "", "", [("a", 1), ("b", 26379), ("c", 3)], "my-redis", 2),
        ),
        ("redis+sentinel://:p%40ss@s/main", Address(False, "", "p@ss", [("s", 26379)], "main", 0)),
        ("rediss+sentinel://me:pass@s:5/main/0", Address(True, "me", "pass", [("s", 5)], "main", 0)),
    ],
)
def test_a_url_names_sentinels_service_and_database(url: str, address: Address) -> None:
    assert sentinel.parse(url) == address
    assert Settings.read({"REDIS_URL": url}).redis_dsn == url


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel://s",
        "redis+sentinel://s/",
        "redis+sentinel://s/main/x",
        "redis+sentinel://s:port/main",
        "redis+sentinel://s,/main",
        "redis+sentinel://:pass#word@s/main",
        "redis+sentinel://s/main?db=1",
    ],
)
def test_one_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL=\*+ is invalid: expected .*redis\+sentinel://HOST"):
        Settings.read({"REDIS_URL": url})


def test_a_client_is_made_without_connecting() -> None:
    client = sentinel.connect("rediss+sentinel://me:pass@nowhere.invalid:5/main/3", socket_timeout=1)
    options = client.connection_pool.connection_kwargs
    assert (options["db"], options["username"], options["password"]) == (3, "me", "pass")
