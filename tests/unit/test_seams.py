"""Each module in docs/how-to/use-seams.md works as it stands there, all of them in one application."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "how-to" / "use-seams.md"
TESTS = Path(__file__).parent / "seams" / "seam_tests.py"


def modules() -> Iterator[tuple[str, str]]:
    """Name and code of each module in the page."""
    for section in PAGE.read_text().split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        for block in re.findall(r"^```python\n(.*?)^```", body, re.MULTILINE | re.DOTALL):
            yield re.sub(r"\W+", "_", title.lower()), block


def test_each_module_of_the_page_works_as_it_stands_there(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    found = dict(modules())
    for name, code in found.items():
        (package / f"{name}.py").write_text(code)
    (package / "__init__.py").write_text(f"workloads = {tuple(f'shop.{name}' for name in found)!r}\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tandem.testing"]\n')
    (tmp_path / "test_seams.py").write_text(TESTS.read_text())
    settings = {"SECRET_KEY": "0123456789abcdef0123456789abcdef", "ADMIN_PASSWORD": "let me in", "TANDEM_APP": "shop"}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{tmp_path}", **settings}

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    # A new section needs a test as well.
    assert f"{len(found)} passed" in ran.stdout, ran.stdout
