"""Runs dramatiq's own tests on Tandem and on dramatiq itself, and compares them with what is expected.

The tests are those in the source package of the pinned version: obtained from the package index, checked against the
hash in requirements.lock, and never stored in this repository. The package lacks their conftest.py and common.py, which
are ours (fixtures_of_dramatiq.py, common_of_dramatiq.py), and the folder middleware/.
Usage: bin/test conformance [options of pytest]
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from testcontainers.core.container import DockerContainer

from tests.conformance.expected import DIFFERENCES, NOT_RUN, PROBES
from tests.integration.tandem import IMAGE, LABEL, locked_down
from tests.paths import ROOT

HERE = Path(__file__).parent
PORT = 6379
MODES = ("stub", "redis", "tandem")
TITLES = {"stub": "StubBroker", "redis": "RedisBroker", "tandem": "Tandem"}
MODE_SECONDS = 900

Results = dict[str, str]


def main() -> None:
    """Prints a table, and exits with 1 for a difference that is not expected, or one that is expected and gone."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        tests = _lay_out(Path(folder))
        with _redis() as port:
            found = {mode: _run(mode, tests, port) for mode in MODES}
            probes = _compared(_observations(tests))
    _print_table(found)
    unexpected = [*_unexpected(found["tandem"]), *probes]
    print("\n".join(unexpected) or f"{len(DIFFERENCES) + len(PROBES)} expected differences, no other ones")
    sys.exit(bool(unexpected))


def _observations(tests: Path) -> Path:
    """Return the file with what each probe has seen on each broker."""
    return tests.parent / "observations.jsonl"


def _compared(file: Path) -> list[str]:
    """Print how many probes agree; return a line for each unexpected difference between dramatiq and Tandem."""
    seen: dict[str, dict[str, object]] = {mode: {} for mode in MODES}
    for line in file.read_text().splitlines():
        mode, name, observation = json.loads(line)
        seen[mode][name] = observation
    ours, dramatiqs = seen["tandem"], seen["redis"]
    differ = {name for name in dramatiqs if name in ours and ours[name] != dramatiqs[name]}
    print(f"{len(dramatiqs)} probes: {len(ours.keys() & dramatiqs.keys()) - len(differ)} agree, {len(differ)} differ")
    lines = [
        f"probe {name!r}, which is not expected:\n  dramatiq: {dramatiqs[name]}\n  Tandem:   {ours[name]}"
        for name in sorted(differ - PROBES.keys())
    ]
    lines += [f"probe {name!r} is expected to differ, and agrees" for name in sorted(PROBES.keys() - differ)]
    return lines + [f"probe {name!r} has no observation on Tandem" for name in sorted(dramatiqs.keys() - ours.keys())]


def _lay_out(folder: Path) -> Path:
    """Return a folder with dramatiq's tests that can run, and what they need beside them."""
    archive = _source_package(folder)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (source,) = folder.glob("dramatiq-*/tests")
    tests = folder / "dramatiq_tests"
    tests.mkdir()
    for file in source.glob("test_*.py"):
        if file.stem not in NOT_RUN:
            shutil.copy(file, tests)
    (tests / "__init__.py").touch()
    shutil.copy(HERE / "fixtures_of_dramatiq.py", tests / "conftest.py")
    shutil.copy(HERE / "common_of_dramatiq.py", tests / "common.py")
    shutil.copy(HERE / "probes_of_ours.py", tests / "test_probes.py")
    return tests


def _source_package(folder: Path) -> Path:
    """Download the source package of the pinned version. Raises SystemExit if its hash is not the pinned one."""
    lock = (ROOT / "requirements.lock").read_text()
    version = re.search(r"^dramatiq==(\S+)", lock, re.MULTILINE)
    assert version
    hashes = set(re.findall(r"sha256:(\w+)", lock[version.start() :].partition("\n    # via")[0]))
    command = ["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", f"dramatiq=={version[1]}"]
    if shutil.which("pip") is None:
        command = [sys.executable, "-m", *command]
    subprocess.run(command, cwd=folder, check=True, timeout=300)
    (archive,) = folder.glob("dramatiq-*.tar.gz")
    if hashlib.sha256(archive.read_bytes()).hexdigest() not in hashes:
        raise SystemExit(f"{archive.name} has another hash than the one in requirements.lock")
    return archive


class _redis:
    """A Redis in a container of the image under test; gives its port on loopback."""

    def __enter__(self) -> int:
        container = DockerContainer(IMAGE).with_exposed_ports(PORT)
        container.with_command(["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""])  # noqa: S104
        self._container = locked_down(container, LABEL)
        self._container.start()
        return int(self._container.get_exposed_port(PORT))

    def __exit__(self, *_: object) -> None:
        self._container.stop(delete_volume=True)


def _run(mode: str, tests: Path, port: int) -> Results:
    """Return how each test ended: passed, failed or skipped, by names such as test_actors::test_one[a]."""
    report = tests.parent / f"{mode}.xml"
    environment = os.environ | {
        "CONFORMANCE_BROKER": mode,
        "CONFORMANCE_REDIS": str(port),
        "CONFORMANCE_OBSERVATIONS": str(_observations(tests)),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--tb=short"]
    command += ["--rootdir", str(tests), "-c", os.devnull, f"--junitxml={report}", *sys.argv[1:]]
    log = tests.parent / f"{mode}.log"
    with log.open("wb") as out:
        subprocess.run(
            [*command, str(tests)], env=environment, cwd=tests.parent, stdout=out, stderr=out, timeout=MODE_SECONDS
        )
    if not report.exists():
        raise SystemExit(f"the tests did not run on {TITLES[mode]}:\n{log.read_text()[-5000:]}")
    if mode == "tandem" and os.environ.get("CONFORMANCE_LOG"):
        shutil.copy(log, os.environ["CONFORMANCE_LOG"])
    return {_name(case): _ended(case) for case in ElementTree.parse(report).iter("testcase")}  # noqa: S314 (our own)


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"


def _ended(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in kinds else "passed"


def _print_table(found: dict[str, Results]) -> None:
    print(f"| file | {' | '.join(TITLES[mode] for mode in MODES)} |")
    print(f"| --- |{' --- |' * len(MODES)}")
    files = sorted({name.partition("::")[0] for name in found["stub"]})
    for file in [*files, "sum"]:
        cells = []
        for mode in MODES:
            ended = Counter(how for name, how in found[mode].items() if file in (name.partition("::")[0], "sum"))
            cells.append(f"{ended['passed']}/{ended['failed']}")
        print(f"| {file} | {' | '.join(cells)} |")


def _unexpected(tandem: Results) -> list[str]:
    lines = [
        f"{name} failed on Tandem, which is not expected: mend it, or give the reason in tests/conformance/expected.py"
        for name, how in sorted(tandem.items())
        if how == "failed" and name not in DIFFERENCES
    ]
    return lines + [
        f"{name} is expected to fail on Tandem, and {tandem.get(name, 'does not exist')}: remove it from expected.py"
        for name in sorted(DIFFERENCES)
        if tandem.get(name) != "failed"
    ]


if __name__ == "__main__":
    main()
