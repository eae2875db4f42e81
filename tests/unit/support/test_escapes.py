"""Untrusted text neither acts on a terminal nor reveals secrets."""

from __future__ import annotations

import json

import pytest

from tandem.process.log_forwarder import as_json, prefixed
from tandem.support.escapes import escaped_line, without_secrets


def test_a_line_of_any_program_is_copied_without_its_power() -> None:
    assert prefixed("redis", b"\x1b[31m\x9b\xe2\x80\xae\rx\ty\r") == b"redis      | \\x1b[31m\\x9b\\u202e\\rx\ty\n"
    assert escaped_line("schön ⟦1⟧".encode()) == "schön ⟦1⟧".encode()


def test_only_a_record_of_the_process_itself_is_copied_as_it_is() -> None:
    own = b'{"process": "redis", "message": "x"}'
    assert as_json("redis", own) == own + b"\n"
    for other in (b'{"process": "web", "message": "x"}', b'{"process" \x1b', b'{"process": "redis", \x1b}'):
        assert json.loads(as_json("redis", other))["message"] == other.decode()


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "X-Api-Key", "key", "password", "secret"])
def test_secrets_of_a_query_are_masked(name: str) -> None:
    assert without_secrets(f'"GET /x?a=1&{name}=hush&b=2 HTTP/1.1" 401') == f'"GET /x?a=1&{name}=***&b=2 HTTP/1.1" 401'


def test_the_rest_of_a_query_stays() -> None:
    assert without_secrets("GET /x?after=1&tokens=2&monkey=3") == "GET /x?after=1&tokens=2&monkey=3"
