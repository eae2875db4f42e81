"""The command `queue dev`: web and worker on a developer's machine, without Docker; saved code runs within a second."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tandem import logs
from tandem.cli import code_watch
from tandem.registry import LoadError, places
from tandem.workload import Workload

logger = logging.getLogger(__name__)

# A worker gets so long for its running messages before it is killed; they are handled again by the next one (seconds).
STOP_SECONDS = 10.0
REDIS_SECONDS = 10.0
WEB = "web"
WORKER = "worker"


@click.command("dev")
@click.option("--port", type=click.IntRange(1, 65_535), default=8000, show_default=True, help="Port of the web.")
@click.option("--sync", is_flag=True, help="Handle each message where it is sent, also where there is a redis-server.")
def dev(port: int, sync: bool) -> None:
    """Run web and worker here for development, without Docker; a file that is saved runs within a second.

    Messages are in REDIS_URL, or in a redis-server that this command starts and that forgets them at the end. Where
    there is none, each message is handled where it is sent (QUEUE_TRANSPORT=sync). A database is that of DATABASE_URL,
    or dev.db in this folder; its migrations run at the start, and when they are saved. `breakpoint()` stops in this
    terminal.
    """
    logs.configure("INFO", "text")
    _require_free(port)
    if not {"DATABASE_URL", "DATABASE_URL_FILE"} & os.environ.keys():
        os.environ["DATABASE_URL"] = f"sqlite:///{Path.cwd()}/dev.db"
    with _transport(sync) as variables:
        os.environ.update(variables)
        # Everything that a check needs but the application: a check is then a fork, and takes a tenth of a second.
        from tandem.web import application as _web  # noqa: F401
        from tandem.worker import main as _worker  # noqa: F401

        if not code_watch.can_run(_migrate):
            raise click.exceptions.Exit(78)
        _run(port)


def _require_free(port: int) -> None:
    """Raise click.ClickException if another program listens at the port."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise click.ClickException(
                f"port {port} cannot be used: {error.strerror}; try --port {port + 1}"
            ) from error


@contextmanager
def _transport(sync: bool) -> Iterator[dict[str, str]]:
    """Yield the variables that say where messages are, while a redis-server runs if it is needed."""
    redis_server = shutil.which("redis-server")
    if sync or (redis_server is None and "REDIS_URL" not in os.environ):
        reason = "--sync" if sync else "there is no redis-server here"
        logger.info("each message is handled where it is sent (%s)", reason)
        yield {"QUEUE_TRANSPORT": "sync"}
    elif redis_server is None or "REDIS_URL" in os.environ:
        yield {}
    else:
        with TemporaryDirectory(prefix="tandem-dev-") as folder, _redis(redis_server, Path(folder)) as url:
            yield {"REDIS_URL": url}


@contextmanager
def _redis(command: str, folder: Path) -> Iterator[str]:
    """Run a redis-server that keeps nothing; yield its URL. Raises click.ClickException."""
    path = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder), "--loglevel", "warning"]
    # In a group of its own: Ctrl+C must not end it before web and worker.
    process = subprocess.Popen([command, *options], process_group=0, stdin=subprocess.DEVNULL)  # noqa: S603
    try:
        deadline = time.monotonic() + REDIS_SECONDS
        while not path.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"{command} did not start: use --sync, or set REDIS_URL")
            time.sleep(0.02)
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _migrate(loaded: tuple[Workload, ...]) -> None:
    """Bring the database up to date, in the fork that has loaded the workloads. Raises LoadError."""
    if not any(workload.database for workload in loaded):
        return
    from tandem.sql import engine, errors, migrations

    connections = engine.make_engine(2)
    where = engine.shown(connections.url)
    try:
        done = migrations.upgrade(connections, migrations.histories(loaded), seconds=STOP_SECONDS)
    except Exception as error:  # also of a migration, which is code of the application
        raise LoadError([f"bringing {where} up to date failed: {errors.brief(error)}"]) from error
    if done:
        logger.info("upgraded the tables of %s in %s", ", ".join(done), where)


class Processes:
    """Web and worker: forks of this process, which has all imports but the application, so that a start is quick.

    They share its terminal, where `breakpoint()` stops.
    """

    def __init__(self, port: int) -> None:
        self._programs: dict[str, Callable[[], None]] = {WEB: partial(_serve, port)}
        if os.environ.get("QUEUE_TRANSPORT") != "sync":
            self._programs[WORKER] = _consume
        self._running: dict[str, int] = {}

    def start(self) -> None:
        """Start those that do not run."""
        for name, program in self._programs.items():
            if name not in self._running:
                self._running[name] = _fork(name, program)

    def stop(self) -> None:
        """Stop all: a worker finishes its messages, at most STOP_SECONDS."""
        for pid in self._running.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._running and time.monotonic() < deadline:
            if not self.ended():
                time.sleep(0.01)
        for pid in self._running.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._running.clear()

    def ended(self) -> list[tuple[str, int]]:
        """Return name and exit code of each that has ended since the last call."""
        ended = []
        for name, pid in list(self._running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._running[name]
                ended.append((name, os.waitstatus_to_exitcode(status)))
        return ended


def _fork(name: str, program: Callable[[], None]) -> int:
    """Run a program in a fork of this process; return its process id."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.environ["SUPERVISOR_PROCESS_NAME"] = name
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        logs.configure("INFO", "text")
        program()
        code = 0
    except KeyboardInterrupt:
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except OSError as error:  # such as a port that is in use
        logger.error("%s", error)
    except BaseException:
        logger.exception("%s failed", name)
    os._exit(code)


def _serve(port: int) -> None:
    from werkzeug.serving import WSGIRequestHandler, make_server

    from tandem.web.application import create_app

    class RequestHandler(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log without colours, which the log's format would escape."""
            self.log("info", '"%s" %s %s', self.requestline, code, size)

    server = make_server("127.0.0.1", port, create_app(), threaded=True, request_handler=RequestHandler)
    logger.info("ready at http://127.0.0.1:%d", port)
    server.serve_forever()


def _consume() -> None:
    from tandem.cli.consume import consume

    consume.main([], standalone_mode=False)


def _run(port: int) -> None:
    folder = places.application_folder()
    processes = Processes(port)
    # Set here, because a shell that starts a command in the background makes it ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    processes.start()
    logger.info("watching %s; Ctrl+C stops it", folder)
    try:
        for changed in code_watch.changes(folder):
            for name, code in processes.ended():
                if code == 0 and name == WORKER:  # it has reached a limit
                    processes.start()
                else:
                    logger.error("%s ended with code %d: save a file to start it again", name, code)
            if changed:
                _take_over(processes, changed)
    except KeyboardInterrupt:
        pass
    finally:
        processes.stop()


def _take_over(processes: Processes, changed: list[Path]) -> None:
    if not code_watch.can_run(_migrate):
        logger.error("the old code goes on")
        return
    processes.stop()
    processes.start()
    logger.info("taken over: %s", ", ".join(path.name for path in changed))
