"""Each named token sees and cancels only its own translations; without named tokens all are visible."""

from __future__ import annotations

from typing import Any, cast

import pytest
import redis
from flask.testing import FlaskClient

from app.translation.tests.unit.test_translations_api import GOOD
from tests.unit.web.test_protection import ALICE, BOB, TOKEN, Start, bearer, start

__all__ = ["start"]

OPERATIONS = [("GET", ""), ("GET", "/source"), ("GET", "/result"), ("GET", "/events"), ("DELETE", "")]


@pytest.fixture
def shared(start: Start) -> FlaskClient:
    return start(API_TOKENS=f"alice:{ALICE},bob:{BOB}", API_TOKEN=TOKEN)


def create(client: FlaskClient, token: str, key: str = "", **fields: str) -> Any:
    headers = bearer(token) | ({"Idempotency-Key": key} if key else {})
    return client.post("/translations", json=GOOD | fields, headers=headers)


def listed(client: FlaskClient, token: str, query: str = "") -> list[str]:
    answer = client.get(f"/translations{query}", headers=bearer(token)).get_json()
    return [translation["id"] for translation in answer["translations"]]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize(("owner", "other"), [(ALICE, BOB), (ALICE, TOKEN), (TOKEN, BOB)])
def test_a_translation_of_another_owner_is_not_found(
    shared: FlaskClient, method: str, path: str, owner: str, other: str
) -> None:
    made = create(shared, owner).get_json()
    unknown = "6f1ed002-ab5d-42cf-868e-5a0e1cc1ce51"

    answer = shared.open(f"/translations/{made['id']}{path}", method=method, headers=bearer(other))
    nothing = shared.open(f"/translations/{unknown}{path}", method=method, headers=bearer(other))

    assert answer.status_code == nothing.status_code == 404
    assert answer.text.replace(made["id"], unknown) == nothing.text
    assert shared.get(f"/translations/{made['id']}", headers=bearer(owner)).get_json()["status"] == "queued"


def test_each_owner_has_a_separate_list_in_pages(shared: FlaskClient) -> None:
    answers = [(token, create(shared, token).get_json()) for _ in range(3) for token in (ALICE, BOB, TOKEN)]
    newest = sorted(answers, key=lambda answer: (answer[1]["created_at"], answer[1]["id"]), reverse=True)
    made = {owner: [body["id"] for token, body in newest if token == owner] for owner in (ALICE, BOB, TOKEN)}

    for token, ids in made.items():
        assert listed(shared, token) == ids
        first = shared.get("/translations?limit=2", headers=bearer(token)).get_json()
        assert [translation["id"] for translation in first["translations"]] == ids[:2]
        assert listed(shared, token, f"?limit=2&after={first['next']}") == ids[2:]
        # In another owner's list, a cursor only has a time.
        assert set(listed(shared, ALICE, f"?after={first['next']}")) <= set(made[ALICE])


def test_an_idempotency_key_belongs_to_its_owner(shared: FlaskClient) -> None:
    mine = create(shared, ALICE, "order-7").get_json()

    assert create(shared, ALICE, "order-7").get_json()["id"] == mine["id"]
    others = [create(shared, token, "order-7", target="fr") for token in (BOB, TOKEN)]
    assert [answer.status_code for answer in others] == [202, 202]
    assert len({mine["id"], *(answer.get_json()["id"] for answer in others)}) == 3


def test_the_owner_cancels_and_what_expired_leaves_its_list(shared: FlaskClient, redis_client: redis.Redis) -> None:
    old, new = create(shared, ALICE).get_json()["id"], create(shared, ALICE).get_json()["id"]
    assert shared.delete(f"/translations/{old}", headers=bearer(ALICE)).status_code == 202
    (member,) = cast("list[str]", redis_client.zrange("tandem:translations:ended", 0, -1))
    redis_client.zadd("tandem:translations:ended", {member: 1})
    redis_client.delete(f"tandem:translation:{old}")

    assert shared.delete(f"/translations/{new}", headers=bearer(ALICE)).status_code == 202

    left = cast("list[str]", redis_client.zrange("tandem:translations:of:alice", 0, -1))
    assert [name.split(":")[1] for name in left] == [new]
    assert not redis_client.exists("tandem:translations")
    assert listed(shared, ALICE) == [new]


def test_records_without_an_owner_belong_to_the_api_token(shared: FlaskClient, redis_client: redis.Redis) -> None:
    made = create(shared, TOKEN).get_json()["id"]
    redis_client.hdel(f"tandem:translation:{made}", "owner")

    assert listed(shared, TOKEN) == [made]
    assert shared.get(f"/translations/{made}/source", headers=bearer(TOKEN)).status_code == 200
    assert shared.get(f"/translations/{made}", headers=bearer(ALICE)).status_code == 404


def test_without_named_tokens_all_translations_are_visible(start: Start) -> None:
    made = create(start(API_TOKEN=TOKEN), TOKEN).get_json()["id"]
    client = start(API_TOKEN="")
    assert client.get(f"/translations/{made}").status_code == 200
