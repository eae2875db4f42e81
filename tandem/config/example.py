"""Generates the file .env.example from the settings classes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from tandem.config.settings_base import SettingsBase, masked

WIDTH = 118

_HEAD = """\
# Every setting with its default. Copy this file to .env, change what you need, then: docker compose up --detach
# Each can also come from a file, as Docker's secrets do: REDIS_URL_FILE=/run/secrets/redis_url instead of REDIS_URL.
# This file is printed by `queue config --example`.
"""


def text(kinds: Iterable[type[SettingsBase]]) -> str:
    """Return the whole file, with a trailing line end. `kinds`: the platform's class and those of the workloads."""
    kinds = list(kinds)
    lines = [_HEAD, *_heading("what compose itself reads")]
    for kind in kinds:
        for name, (default, about) in kind.compose_variables.items():
            lines += [*_comment(about), f"#{name}={default}"]
    for kind in kinds:
        lines += _fields(kind)
    return "\n".join(lines) + "\n"


def _fields(kind: type[SettingsBase]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        if heading := kind.headings.get(name):
            yield ""
            yield from _heading(heading)
        yield from _comment(field.description or "")
        yield f"#{name.upper()}={masked(kind, name, field.default)}"


def _heading(title: str) -> list[str]:
    return [f"# --- {title} ".ljust(WIDTH, "-")]


def _comment(about: str) -> list[str]:
    """Wrap a text into comment lines; names of settings and URLs are not split."""
    lines = [line for part in about.splitlines() for line in textwrap.wrap(part, WIDTH - 2, break_long_words=False)]
    return [f"# {line}" for line in lines]
