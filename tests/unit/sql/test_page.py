"""The files in docs/how-to/use-a-database.md work as they stand there: an application, its migration and its tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "use-a-database.md"
_FILE = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_files_of_the_page_are_an_application_whose_tests_pass(tmp_path: Path) -> None:
    files = dict(_FILE.findall(PAGE.read_text()))
    assert set(files) == {"shop/orders.py", "shop/migrations/0001_orders.py", "tests/test_orders.py"}
    files |= {
        "shop/__init__.py": 'workloads = ("shop.orders",)\n',
        "conftest.py": 'pytest_plugins = ["tandem.testing"]\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{tmp_path}", "TANDEM_APP": "shop"}

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout
