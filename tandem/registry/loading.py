"""Loads the workloads of this process, and refuses invalid ones with one line for each error.

All errors are detected before the first message: at the image's build, at the container's start, and in every process
that loads the workloads.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from tandem import runtime
from tandem.config.environment import application
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError
from tandem.registry import actors, conflicts, middleware, places, programs, rates, schedules
from tandem.registry.errors import LoadError
from tandem.workload import Workload


def load(config: Settings) -> tuple[Workload, ...]:
    """Load all workloads, with their actors declared on the broker of this process and their settings read.

    Raises LoadError if an import fails or two workloads claim the same thing, and SettingsError.
    """
    runtime.configure(config)
    loaded = _with_sql(tuple(_workloads()))
    if lines := list(conflicts.names_and_settings(loaded)):
        raise LoadError(lines)
    if lines := list(_invalid_settings(loaded, config)):
        raise SettingsError(lines)
    if lines := list(conflicts.duplicate_limits(loaded, config)):
        raise LoadError(lines)
    middleware.add(runtime.get_broker(), loaded, config)
    return loaded


def load_and_verify(config: Settings) -> tuple[Workload, ...]:
    """Load all workloads and verify that their actors can run. Raises LoadError and SettingsError."""
    loaded = load(config)
    broker = runtime.configure(config)
    lines = [
        *actors.problems(broker, config),
        *schedules.problems(broker, loaded),
        *rates.problems(loaded, config, broker.get_declared_queues()),
        *programs.problems(loaded, config),
    ]
    if lines:
        raise LoadError(lines)
    return loaded


def _with_sql(workloads: tuple[Workload, ...]) -> tuple[Workload, ...]:
    """Add the platform's workload for SQL if one of these has a database. Raises LoadError if a package is missing."""
    users = [workload.name for workload in workloads if workload.database]
    if not users:
        return workloads
    try:
        sql = import_module("tandem.sql.workload")
    except ModuleNotFoundError as error:
        line = f"{users[0]} has a database, but the package {error.name} is not installed"
        raise LoadError([f"{line}: add sqlalchemy and alembic to its requirements, and the driver"]) from error
    return (*workloads, sql.make(runtime.get_broker(), workloads))


def _invalid_settings(workloads: tuple[Workload, ...], config: Settings) -> Iterator[str]:
    for kind in [workload.settings for workload in workloads if workload.settings]:
        try:
            yield from kind.current().conflicts(config)
        except SettingsError as error:
            yield from error.lines


def _workloads() -> Iterator[Workload]:
    """Yield the workloads of the registry in order; its entries are modules, packages, or workloads themselves."""
    name = application()
    registry = _registry(name)
    if not isinstance(registry, (tuple, list)):
        raise LoadError(
            [
                f'TANDEM_APP={name} is invalid: it has no `workloads`; expected workloads = ("{name}.greetings", …) in '
                f"{name}/__init__.py"
            ]
        )
    for entry in registry:
        yield entry if isinstance(entry, Workload) else _workload(str(entry))


def _registry(name: str) -> object:
    try:
        return getattr(import_module(name), "workloads", None)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            line = f"TANDEM_APP={name} is invalid: there is no module {error.name}; expected a package with `workloads`"
            raise LoadError([line]) from error
        raise LoadError([_import_failure(error)]) from error


def _workload(name: str) -> Workload:
    """Return `workload` of a module, or of the module `workload` in a package."""
    try:
        # Importing the package first reports an error in it as its own.
        module = import_module(name)
        if hasattr(module, "__path__") and find_spec(f"{name}.workload"):
            module = import_module(f"{name}.workload")
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            line = (
                f"{application()}/__init__.py names {name}, which does not exist: correct the name, or remove the line"
            )
            raise LoadError([line]) from error
        raise LoadError([_import_failure(error)]) from error
    found = getattr(module, "workload", None)
    if not isinstance(found, Workload):
        line = f"{module.__name__} is listed in {application()}/__init__.py, but has no `workload`"
        raise LoadError([f'{line}; expected workload = Workload(name="{name.rpartition(".")[2]}", …)'])
    return found


def _import_failure(error: BaseException) -> str:
    """Return one line with the place in the application's code where the import failed."""
    reason = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{places.of_error(error)}: {type(error).__name__}: {reason or 'no reason was given'}{_hint(error)}"


def _hint(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f": install the package of {error.name} in the image, or correct the import"
    if twin := conflicts.twin_of_actor(str(error)):
        return f" The other one is at {twin}: rename one of them"
    return ""
