"""The list of translations in pages, and the cancellation of one."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.translation.http import cursor
from app.translation.tests.unit.test_translations_api import GOOD
from tests.unit.problems import assert_problem


@pytest.fixture(autouse=True)
def own_connections(application: Flask) -> None:
    from app.translation import actors

    actors.store.cache_clear()


def created(client: FlaskClient) -> str:
    return str(client.post("/translations", json=GOOD).get_json()["id"])


def test_following_the_pages_gives_each_translation_once(client: FlaskClient) -> None:
    ids = {created(client) for _ in range(5)}

    found: list[str] = []
    address: str | None = "/translations?limit=2"
    while address:
        answer = client.get(address)
        body = answer.get_json()
        found += [translation["id"] for translation in body["translations"]]
        link = answer.headers.get("Link")
        assert (link is None) == (body["next"] is None)
        address = link.partition(">")[0].removeprefix("<") if link else None
        assert not link or link.endswith('>; rel="next"')

    assert len(found) == 5 and set(found) == ids
    times = [client.get(f"/translations/{id_}").get_json()["created_at"] for id_ in found]
    assert times == sorted(times, reverse=True)


def test_a_list_has_no_texts(client: FlaskClient) -> None:
    created(client)
    (summary,) = client.get("/translations").get_json()["translations"]
    assert not {"text", "translation", "problems"} & set(summary)


def test_an_empty_list_is_a_list(client: FlaskClient) -> None:
    assert client.get("/translations").get_json() == {"translations": [], "next": None}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "ten", "", " 5", "1e2", "٣", "9" * 5000])
def test_a_bad_limit_is_refused(client: FlaskClient, limit: str) -> None:
    answer = client.get("/translations", query_string={"limit": limit})
    assert_problem(answer, 422, "limit must be a whole number from 1 to 100")


@pytest.mark.parametrize(
    "after", ["", "x", "(", "-", "+", "[0", "é" * 67, "A" * 67, "_" * 67, "A" * 5000, cursor.encode("0" * 50)]
)
def test_an_invalid_cursor_is_refused(client: FlaskClient, after: str) -> None:
    answer = client.get("/translations", query_string={"after": after})
    assert_problem(answer, 422, "after must be the `next` of an earlier page")


def test_a_cursor_decodes_to_its_member() -> None:
    member = "1763797433057:ae577c8a-6f0d-4c2b-9a51-0f3d5f9f6f0e"
    assert cursor.decode(cursor.encode(member)) == member


def test_a_cancelled_translation_has_ended(client: FlaskClient) -> None:
    id_ = created(client)

    answer = client.delete(f"/translations/{id_}")

    assert answer.status_code == 202
    assert answer.get_json()["status"] == "cancelled"
    assert client.get(f"/translations/{id_}").get_json() == answer.get_json()
    again = client.delete(f"/translations/{id_}")
    assert_problem(again, 409, "the translation has ended already: it is cancelled")
    assert_problem(client.get(f"/translations/{id_}/source"), 410, "the source is gone")


def test_an_unknown_translation_cannot_be_cancelled(client: FlaskClient) -> None:
    assert_problem(
        client.delete("/translations/6f1ed002-ab5d-42cf-868e-5a0e1cc1ce51"),
        404,
        "not found: it does not exist or has expired",
    )
