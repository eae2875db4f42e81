"""Imports point one way, and no room knows one that it must not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"

ROOMS = {path.stem for path in APP.iterdir() if not path.name.startswith("__")}
HOUSE = {
    *{"environment", "sentinel", "settings", "logs", "api", "queueing", "event_streams", "outbound", "operations"},
    *{"workloads", "web", "cli"},
}
#: Every other room is a workload; only the registry knows which ones there are.
WORKLOADS = ROOMS - HOUSE

MAY_IMPORT = {
    **{room: {"api", "queueing", "event_streams", "outbound", "logs", "settings"} for room in WORKLOADS},
    "environment": set(),
    "sentinel": set(),
    "settings": {"environment", "sentinel"},
    "logs": set(),
    "api": set(),
    "queueing": {"api", "logs", "settings", "sentinel"},
    "event_streams": {"queueing", "logs", "settings"},
    "outbound": {"queueing"},
    "operations": {"queueing", "logs", "settings", "environment"},
    "workloads": {*WORKLOADS, "queueing", "logs", "settings"},
    "web": {"workloads", "api", "event_streams", "queueing", "logs", "settings"},
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


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    files = list((APP / room).rglob("*.py")) or [APP / f"{room}.py"]
    for path in files:
        assert imported_rooms(path) - {room} <= MAY_IMPORT[room], path


def test_the_rules_are_about_rooms_that_there_are() -> None:
    assert set(MAY_IMPORT) == ROOMS


def test_a_workload_is_in_the_registry() -> None:
    assert imported_rooms(APP / "workloads.py") >= WORKLOADS
