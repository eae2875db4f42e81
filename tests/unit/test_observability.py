"""The files around Prometheus, Alertmanager and Grafana."""

from __future__ import annotations

import subprocess
import sys

from tests.paths import ROOT


def test_the_board_is_what_its_program_makes() -> None:
    command = [sys.executable, str(ROOT / "observability" / "board.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.stderr, checked.returncode) == ("", 0)
