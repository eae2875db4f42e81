"""Finds places in the application's code: file and line, for the beginning of an error."""

from __future__ import annotations

import inspect
import sys
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from types import TracebackType

import dramatiq

from tandem.config.environment import application
from tandem.registry.errors import LoadError

_PLATFORM = Path(__file__).parents[1]


def of_function(function: object) -> str:
    """Return where the function was defined."""
    code = getattr(inspect.unwrap(function), "__code__", None)  # type: ignore[arg-type]
    return f"{_shown(Path(code.co_filename))}:{code.co_firstlineno}" if code else "?"


def of_error(error: BaseException) -> str:
    """Return the last frame of its traceback in the application's code, or the place of a syntax error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(Path(error.filename))}:{error.lineno}"
    return _origin(error.__traceback__)


def of_text(text: str) -> str:
    """Return where the first line with this text is in a loaded module of the application, or ''."""
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "")
        if path.suffix == ".py" and _is_application_code(path) and (line := _line_with(text, path)):
            return f"{_shown(path)}:{line}"
    return ""


def application_folder() -> Path:
    """Return the folder of the application's package. Raises LoadError if there is none."""
    spec = find_spec(application())
    if spec is None or spec.origin is None:
        raise LoadError([f"TANDEM_APP={application()} is invalid: expected the name of a package that can be imported"])
    return Path(spec.origin).parent


def _line_with(text: str, path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((number for number, line in enumerate(lines, 1) if text in line.partition("#")[0]), None)


def _origin(traceback: TracebackType | None) -> str:
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in walk_tb(traceback)]
    own = [(path, line) for path, line in frames if _is_application_code(path)] or frames
    path, line = own[-1]
    return f"{_shown(path)}:{line}"


def _is_application_code(path: Path) -> bool:
    libraries = (Path(dramatiq.__file__).parents[1], Path(sys.prefix) / "lib", Path(inspect.__file__).parent)
    inside = any(path == part or path.is_relative_to(part) for part in (_PLATFORM, *libraries))
    return path.is_absolute() and not inside


def _shown(path: Path) -> str:
    root = _PLATFORM.parent
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
