"""What a user expects of each module in docs/how-to/use-seams.md; test_seams.py runs this in an application of them."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient


def test_results(client: FlaskClient, queue: Any) -> None:
    message_id = client.post("/sums/3/4").get_json()["id"]
    assert queue.run_all() == ["completed"]
    assert client.get(f"/sums/{message_id}").get_json() == {"sum": 7}


def test_async_actors(queue: Any) -> None:
    from shop import async_actors

    from tandem import Settings, connect

    async_actors.fetch.send("somewhere")
    assert queue.run_all() == ["completed"]
    assert connect(Settings.current()).lrange("fetched", 0, -1) == [b"somewhere"]


def test_extensions(client: FlaskClient) -> None:
    answer = client.get("/extended").get_json()
    assert answer["greeting"] == "Hello"
    assert "greeter" in answer["extensions"]


def test_sessions_and_login(client: FlaskClient) -> None:
    browser = {"base_url": "https://localhost"}
    assert client.get("/admin", **browser).status_code == 403
    assert client.post("/login", data={"password": "guessed"}, **browser).status_code == 403
    answer = client.post("/login", data={"password": "let me in"}, **browser)
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Strict"))
    assert client.get("/admin", **browser).status_code == 200
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    assert client.post("/login", data={"password": "let me in"}, headers=elsewhere, **browser).status_code == 403


def test_content_security_policy(client: FlaskClient) -> None:
    assert "https://tiles.example.com" in client.get("/map").headers["Content-Security-Policy"]
    assert "https://tiles.example.com" not in client.get("/docs").headers["Content-Security-Policy"]


def test_uploads(client: FlaskClient, queue: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shop import uploads

    from tandem import Settings, connect

    monkeypatch.setattr(uploads, "FOLDER", tmp_path / "uploads")
    answer = client.post("/uploads", data={"file": (io.BytesIO(b"x" * 100_000), "../../etc/passwd")})
    assert answer.status_code == 202
    assert queue.run_all() == ["completed"]
    assert connect(Settings.current()).get(f"uploads:{answer.get_json()['id']}") == b"100000"
    assert client.post("/uploads", data={"file": (io.BytesIO(b"x" * 11_000_000), "big")}).status_code == 413
    assert client.post("/uploads", data={}).status_code == 422


def test_input_that_pydantic_checks(client: FlaskClient) -> None:
    assert client.post("/orders", json={"article": "pen", "count": 2}).status_code == 201
    answer = client.post("/orders", json={"article": "", "count": 5000})
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert "article: " in answer.get_json()["detail"]
    assert "count: " in answer.get_json()["detail"]
    assert "5000" not in answer.get_json()["detail"]


def test_check_and_limit(client: FlaskClient) -> None:
    answers = [client.post(f"/parcels/{number}").status_code for number in range(4)]
    assert answers == [202, 202, 202, 429]
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.get_json()["checks"]["carrier"] == {"status": "away", "detail": "the carrier does not answer"}


def test_sentry_by_hand(queue: Any) -> None:
    import sentry_sdk
    from shop import sentry_by_hand as sentry

    class Kept(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope: Any) -> None:
            reported.append(envelope.get_event())

    reported: list[Any] = []
    sentry_sdk.init("https://key@sentry.invalid/1", integrations=[sentry.DramatiqIntegration()], transport=Kept)
    sentry.break_something.send()
    assert queue.run_all() == ["failed"]
    sentry_sdk.flush(2)
    assert [event["exception"]["values"][0]["value"] for event in reported if event] == ["a defect"]


def test_levels_of_logs(queue: Any) -> None:
    from tandem import logs

    logs.configure("INFO", "text")
    assert logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("urllib3").isEnabledFor(logging.INFO)
