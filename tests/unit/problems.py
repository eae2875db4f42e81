"""Errors as clients see them."""

from __future__ import annotations

import json
from typing import Any


def assert_problem(answer: Any, status: int, sentence: str) -> None:
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.get_data())
    assert body["status"] == status
    assert sentence in body["detail"]
