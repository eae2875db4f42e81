"""The least that a web process can do for a message: push the body of a request to Redis and answer 202.

`wsgi` does it in plain WSGI, `flask` in Flask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, request
from work import client

QUEUE = "bench:bare"
flask = Flask("bare")


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    client.rpush(QUEUE, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("202 Accepted", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]


@flask.post("/jobs")
def push() -> tuple[dict[str, str], int]:
    client.rpush(QUEUE, request.get_data())
    return {}, 202
