"""The command `queue doctor`: what this version of Tandem wants changed in an application."""

from __future__ import annotations

import ast
import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import distribution, version
from pathlib import Path

import click

import tandem
from tandem.config.environment import application
from tandem.registry import places
from tandem.support.formatting import counted

#: Names of version 0.1 and what has taken their place.
RENAMED = {
    "Continue": "Snooze",
    "must_pause": "job.should_yield",
    "is_last_attempt": "job.is_last_attempt",
    "was_resent": "job.is_replay",
    "Record": "JobRecord",
    "Once": "IdempotencyKey",
    "installed": "get_broker",
}
RENAMED_OF_WORKLOAD = {"at_once": "max_concurrency", "prepare": "on_start", "make_blueprint": "blueprint"}
RENAMED_METHODS = {"submit": "enqueue_once", "along": "outbox_message"}
#: Packages in which version 0.1 had what is in `tandem` now.
OLD_PACKAGES = ("app.queueing", "app.settings", "app.web", "app.cli", "app.environment", "app.monitor")


@click.command()
def doctor() -> None:
    """Say what this version of Tandem wants changed in this application; exit with 1 if anything."""
    found = [*_in_code(places.application_folder()), *_overwritten()]
    for line in found:
        click.echo(line)
    if found:
        click.echo(f"next: make {counted(len(found), 'change')}, then queue check")
        raise click.exceptions.Exit(1)
    click.echo(f"nothing has to change for Tandem {version('tandem')}; next: queue check")


def _overwritten() -> Iterator[str]:
    """Yield a line for each file of the platform that is not the one that was installed.

    The hashes are those of the package's RECORD (https://packaging.python.org/en/latest/specifications/recording-installed-packages).
    """
    for file in distribution("tandem").files or []:
        path = Path(str(file.locate()))
        if file.hash is None or file.hash.mode != "sha256":
            continue
        if not path.exists():
            yield f"{path} was removed from this image"
            continue
        found = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        if found != file.hash.value:
            yield f"{path} was changed in this image: the next version brings another one, so say it with a Workload"


def _in_code(folder: Path) -> Iterator[str]:
    """Yield a line for each place in the application's code."""
    if (folder / "workloads.py").exists():
        yield (
            f"{folder / 'workloads.py'} is not read any more: name the modules in {folder / '__init__.py'}, "
            f'workloads = ("{application()}.greetings", …)'
        )
    for path in sorted(folder.rglob("*.py")):
        if "tests" in path.relative_to(folder).parts:
            continue
        try:
            tree = ast.parse(path.read_text())
        except (SyntaxError, UnicodeDecodeError) as error:
            yield f"{path}:{getattr(error, 'lineno', 1)}: it cannot be read: {error}"
            continue
        for node in ast.walk(tree):
            yield from (f"{path}:{node.lineno}: {problem}" for problem in _problems(node))  # type: ignore[attr-defined]


def _problems(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from _of_import(node.module, [alias.name for alias in node.names])
    elif isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name != "tandem":
                yield from _of_import(alias.name, [])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Workload":
        given = {keyword.arg for keyword in node.keywords}
        for old in sorted(given & RENAMED_OF_WORKLOAD.keys(), key=str):
            yield f"Workload({old}=…) is Workload({RENAMED_OF_WORKLOAD[str(old)]}=…)"
    elif isinstance(node, ast.Attribute) and node.attr in RENAMED_METHODS and _is_broker(node.value):
        yield f"Broker.{node.attr} is Broker.{RENAMED_METHODS[node.attr]}"


def _of_import(module: str, names: list[str]) -> Iterator[str]:
    if module == "tandem":
        for name in names:
            if name not in tandem.__all__ and name != "*":
                yield f"tandem has no {name}" + (f": it is {RENAMED[name]}" if name in RENAMED else "")
    elif module.startswith("tandem.") and module != "tandem.sql" and not module.startswith("tandem.testing"):
        yield f"{module} is private and may change in any version: import from tandem"
    elif module.startswith(OLD_PACKAGES):
        new = ", ".join(RENAMED.get(name, name) for name in names) or "…"
        yield f"{module} has moved: from tandem import {new}"


def _is_broker(value: ast.expr) -> bool:
    """Return whether an expression is named as a broker: `broker`, `get_broker()`, `installed()`."""
    name = value.func if isinstance(value, ast.Call) else value
    return isinstance(name, ast.Name) and (name.id.endswith("broker") or name.id == "installed")
