"""Programs of an application's own, beside those of Tandem: supervisor runs, logs, checks and stops them as ours.

They are the *.conf files in /etc/tandem/programs, in the format of supervisor (https://supervisord.org/configuration.html),
and those that workloads bring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path("/etc/tandem/programs")
#: Where supervisord reads the configuration of all programs of this container.
STARTED = Path("/run/tandem/programs")
OURS = ("redis", "proxy", "web", "worker", "monitor", "eventlistener", "init", "reload")
MAX_BYTES = 65_536
# As supervisor's own default.
STOP_SECONDS = 10
MAX_PROCESSES = 64
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_OPTIONS = (
    *("command", "numprocs", "priority", "autostart", "autorestart", "startsecs", "startretries", "exitcodes"),
    *("stopsignal", "stopwaitsecs", "stopasgroup", "killasgroup", "environment", "directory", "umask"),
)
_LOGS = re.compile(r"(stdout|stderr)_|redirect_stderr|process_name")


@dataclass(frozen=True)
class Program:
    """A program that runs beside web and workers, and is restarted when it ends.

    name: lower-case letters, digits and underscores. command: as of supervisor, without a shell. stop_seconds: how long
    it may take after SIGTERM. options: further ones of supervisor, such as {"numprocs": "2"}.
    """

    name: str
    command: str
    stop_seconds: int = STOP_SECONDS
    options: Mapping[str, str] = field(default_factory=dict)


def read(folder: Path = FOLDER) -> tuple[list[Program], list[str]]:
    """Return the programs of a folder, and one line for each error."""
    programs, errors = [], []
    for path in sorted(folder.glob("*.conf")) if folder.is_dir() else []:
        try:
            programs.append(program := _parse(path))
            errors += [f"{path}: {line}" for line in problems(program)]
        except ValueError as error:
            errors.append(f"{path}: {error}")
    return programs, errors


def _parse(path: Path) -> Program:
    """Return the program of a file. Raises ValueError."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes: expected the configuration of one program")
    parser = RawConfigParser(inline_comment_prefixes=(" ;", "\t;"))
    try:
        parser.read_string(path.read_text())
    except (ConfigError, UnicodeDecodeError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    if parser.sections() != [f"program:{path.stem}"]:
        raise ValueError(f"expected one section, [program:{path.stem}], which has the name of the file")
    options = dict(parser.items(f"program:{path.stem}"))
    stop = options.pop("stopwaitsecs", str(STOP_SECONDS))
    if not stop.isdecimal():
        raise ValueError(f"stopwaitsecs={stop} is invalid: expected whole seconds")
    return Program(path.stem, options.pop("command", ""), int(stop), options)


def problems(program: Program) -> Iterator[str]:
    """Yield one line for each error of a program."""
    if not _NAME.fullmatch(program.name):
        yield f"the name {program.name!r} is invalid: expected lower-case letters, digits and underscores"
    if program.name in OURS:
        yield f"the name {program.name} is one of Tandem's programs: choose another one"
    if not program.command.strip():
        yield "it has no command: add command=…"
    if type(program.stop_seconds) is not int or not 0 <= program.stop_seconds <= 86_400:
        yield f"{program.stop_seconds} s to stop are invalid: expected 0 to 86,400"
    numprocs = str(program.options.get("numprocs", "1"))
    if not numprocs.isdecimal() or not 1 <= int(numprocs) <= MAX_PROCESSES:
        yield f"numprocs={numprocs} is invalid: expected 1 to {MAX_PROCESSES}"
    yield from _wrong_options(program.options)


def _wrong_options(options: Mapping[str, str]) -> Iterator[str]:
    for name in options:
        if _LOGS.match(name):
            yield f"the option {name} is set by Tandem, which shows and rotates the log: remove it"
        elif name not in _OPTIONS:
            yield f"the option {name} is unknown: expected {', '.join(_OPTIONS)}"


def too_slow(programs: Iterable[Program], needed: int, grace_period: int) -> Iterator[str]:
    """Yield a line if the container would be killed before all programs have stopped.

    needed: seconds that Tandem's own programs need. supervisor stops one after the other.
    """
    own = {program.name: program.stop_seconds for program in programs}
    if own and needed + sum(own.values()) > grace_period:
        named = ", ".join(f"{name} {seconds} s" for name, seconds in own.items())
        yield (
            f"STOP_GRACE_PERIOD={grace_period}s is invalid: the container would be killed before its programs may end "
            f"({named}); expected at least {needed + sum(own.values())}s"
        )


def write(programs: Iterable[Program], folder: Path = STARTED) -> None:
    """Write the configuration that supervisord reads, with the log files that Tandem shows and rotates."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs:
        (folder / f"{program.name}.conf").write_text(_configuration(program))


def own(folder: Path = STARTED) -> list[str]:
    """Return the names of the programs of this container that are not Tandem's."""
    return sorted(path.stem for path in folder.glob("*.conf") if path.stem not in OURS)


def _configuration(program: Program) -> str:
    several = int(program.options.get("numprocs", "1")) > 1
    number = "%(process_num)02d"
    file = f"/var/log/supervisor/{program.name}{f'-{number}' if several else ''}.log"
    options = {
        "command": program.command,
        "priority": "360",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "5",
        "stopwaitsecs": str(program.stop_seconds),
        "stopasgroup": "true",
        "killasgroup": "true",
        **program.options,
        "process_name": f"%(program_name)s_{number}" if several else "%(program_name)s",
        "stdout_logfile": file,
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
        "redirect_stderr": "true",
    }
    return "\n".join([f"[program:{program.name}]", *(f"{name}={_value(text)}" for name, text in options.items()), ""])


def _value(text: str) -> str:
    """Return a value of one line or several, as the format wants it."""
    return text.replace("\n", "\n ")
