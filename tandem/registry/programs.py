"""The programs that workloads bring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tandem.config.settings import Settings
from tandem.process import programs
from tandem.process.programs import Program
from tandem.registry import conflicts
from tandem.workload import Workload


def of_workloads(workloads: Iterable[Workload], config: Settings) -> list[Program]:
    """Return the programs of workloads that were verified."""
    return [program for _, program in _all(workloads, config)]


def problems(workloads: Iterable[Workload], config: Settings) -> Iterator[str]:
    """Yield one line for each program that cannot run, and for two with one name."""
    found = list(_all(workloads, config))
    installed, _ = programs.read()
    claims = [(str(programs.FOLDER), program.name) for program in installed]
    claims += [(owner, program.name) for owner, program in found]
    yield from conflicts.duplicates("have the program", claims)
    for owner, program in found:
        yield from (f"the program {program.name} of {owner}: {line}" for line in programs.problems(program))


def _all(workloads: Iterable[Workload], config: Settings) -> Iterator[tuple[str, Program]]:
    for workload in workloads:
        chosen = workload.programs
        yield from ((workload.name, program) for program in (chosen(config) if callable(chosen) else chosen))
