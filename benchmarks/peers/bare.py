"""The least that a web process can do for a message: `bare` pushes the body of a request to Redis and answers 202."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import redis
from flask import Flask, request

client = redis.Redis.from_url(os.environ["BENCH_REDIS"])
flask = Flask("bare")


def bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    client.rpush("bench:bare", environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("202 Accepted", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]


@flask.post("/translations")
def with_flask() -> tuple[dict[str, str], int]:
    client.rpush("bench:bare", request.get_data())
    return {}, 202
