"""Runs the promises of tandem.sql on a database, in a process of its own: the broker and its actors are global."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

HERE = Path(__file__).parent


def run(folder: Path, tests: str = "sql_tests.py", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests in a folder with these settings."""
    (folder / "conftest.py").write_text('pytest_plugins = ["tandem.testing"]\n')
    (folder / "test_promises.py").write_text((HERE / tests).read_text())
    return python(
        folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", **settings
    )


def python(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, on the application bank."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{HERE}", "TANDEM_APP": "bank", **settings}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
