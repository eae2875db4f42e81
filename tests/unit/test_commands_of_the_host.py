"""bin/test says how it is used, and begins nothing for a word that it does not know."""

from __future__ import annotations

import subprocess

from tests.paths import ROOT


def ran(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(ROOT / "bin" / "test"), *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_help_lists_the_parts() -> None:
    code, output = ran("--help")
    assert code == 0
    for part in ("fast", "lint", "unit", "integration", "browser", "removal", "conformance"):
        assert part in output


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    code, output = ran("unti")
    assert code == 2
    assert output.startswith("bin/test: unti is neither a part of the tests nor a file: expected fast, lint, unit,")
