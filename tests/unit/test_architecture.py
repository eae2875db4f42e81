"""Imports point one way, and no room knows one that it must not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"

MAY_IMPORT = {
    "settings": set(),
    "logs": set(),
    "queueing": {"logs", "settings"},
    "operations": {"queueing", "logs", "settings"},
    "translation": {"queueing", "logs", "settings"},
    "workloads": {"translation", "queueing", "logs", "settings"},
    "web": {"workloads", "queueing", "logs", "settings"},
    "cli": {"workloads", "operations", "queueing", "logs", "settings"},
}


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("app.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    files = list((APP / room).rglob("*.py")) or [APP / f"{room}.py"]
    for path in files:
        assert imported_rooms(path) - {room} <= MAY_IMPORT[room], path


def test_every_room_is_named_in_the_rules() -> None:
    rooms = {path.stem for path in APP.iterdir() if not path.name.startswith("__")}
    assert rooms == set(MAY_IMPORT)
