"""What tandem.sql promises where there are no workers; test_sql.py runs this with QUEUE_TRANSPORT=sync."""

from __future__ import annotations

import time
from typing import Any

import pytest
from bank import accounts
from flask.testing import FlaskClient
from sqlalchemy import select

from tandem.sql import transaction


@pytest.mark.usefixtures("database")
def test_a_message_is_handled_after_the_commit_and_before_the_answer(client: FlaskClient, queue: Any) -> None:
    began = time.monotonic()
    assert client.post("/accounts/Ada").status_code == 201
    assert accounts.attempts == ["Ada"]

    accounts.add_and_tell.send("Grace")

    assert accounts.attempts == ["Ada", "Grace at once", "Grace", "Grace again"]
    with transaction() as current:
        assert sorted(current.scalars(select(accounts.Account.name))) == ["Ada", "Grace"]
    # Not by waiting for a lock of the outbox.
    assert time.monotonic() - began < 5
