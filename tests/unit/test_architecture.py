"""Imports point one way, and no room knows one that it must not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import app
import tandem
from tests.paths import ROOT

PLATFORM, APP = ROOT / "tandem", ROOT / "app"


def parts(folder: Path) -> set[str]:
    """The packages and modules that lie in it."""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in folder.glob("*/*.py")}


WORKLOADS = parts(APP) - {"tests"}
#: From the ground up: a part may import those above its line in this table, and these alone.
MAY_IMPORT = {
    "support": set(),
    "config": set(),
    "new": set(),
    "openapi": set(),
    "logs": {"config", "support"},
    "broker": {"support", "config", "logs"},
    "process": {"broker", "config", "support", "logs"},
    "operate": {"broker", "config", "support", "logs", "process"},
    "schedules": {"support", "broker", "operate"},
    "sse": {"support", "broker", "config", "logs"},
    "safe_http": {"support", "broker", "config"},
    "metrics": {"support", "broker", "config", "operate", "process"},
    "worker": {"support", "broker", "config", "logs", "metrics", "operate", "process", "schedules"},
    "health": {"broker", "config", "process", "support", "worker"},
    "telemetry": {"broker", "config", "logs"},
    "runtime": {"broker", "config", "logs", "telemetry", "worker"},
    "workload": {"config", "health", "metrics", "openapi", "process", "schedules"},
    "sql": {"broker", "config", "health", "logs", "process", "runtime", "support", "workload"},
    "monitor": {"broker", "config", "support", "health", "logs", "operate", "process", "schedules", "worker"},
    "registry": {"broker", "config", "process", "runtime", "schedules", "workload"},
    "web": {
        *("broker", "config", "support", "health", "logs", "openapi", "operate", "process", "registry", "sse"),
        *("metrics", "runtime", "schedules", "sql", "workload"),
    },
    "testing": {"broker", "config", "registry", "runtime", "sql", "web", "worker"},
    "cli": {
        *("broker", "config", "support", "health", "logs", "metrics", "monitor", "operate", "process", "registry"),
        *("runtime", "schedules", "sql", "web", "worker", "workload"),
    },
}


def imported(path: Path, package: str) -> set[str]:
    """The parts of a package that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith(f"{package}.")}


def files_of(folder: Path, part: str) -> list[Path]:
    return list((folder / part).rglob("*.py")) or [folder / f"{part}.py"]


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_a_part_of_the_platform_imports_only_what_lies_below_it(part: str) -> None:
    for path in files_of(PLATFORM, part):
        assert imported(path, "tandem") - {part} <= MAY_IMPORT[part], path


def test_the_rules_are_about_parts_that_there_are() -> None:
    assert set(MAY_IMPORT) == parts(PLATFORM)


def test_the_platform_imports_nothing_of_an_application() -> None:
    for path in PLATFORM.rglob("*.py"):
        assert not imported(path, "app"), path


@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_a_workload_imports_the_public_names_of_the_platform_and_no_other_workload(workload: str) -> None:
    for path in files_of(APP, workload):
        if "tests" in path.relative_to(APP).parts:
            continue
        assert imported(path, "app") <= {workload}, path
        assert imported(path, "tandem") <= {*tandem.__all__, "sql"}, path


def test_each_public_name_is_there() -> None:
    assert set(tandem.__all__) == {*tandem._MODULE_OF, *tandem._MODULES}
    assert all(getattr(tandem, name) is not None for name in tandem.__all__)
    with pytest.raises(AttributeError, match="module 'tandem' has no attribute 'nothing'"):
        getattr(tandem, "nothing")  # noqa: B009


def test_importing_the_platform_costs_nothing_and_asking_for_a_name_makes_a_broker() -> None:
    code = "import sys, tandem; assert 'dramatiq' not in sys.modules; from tandem import Check; import dramatiq; "
    code += "assert type(dramatiq.get_broker()).__module__ == 'tandem.broker.broker'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_a_workload_is_in_the_registry() -> None:
    assert {f"app.{workload}" for workload in WORKLOADS} <= set(app.workloads)
