"""bin/test says how it is used, and begins nothing for a word that it does not know."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT


def ran(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(ROOT / "bin" / "test"), *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout + done.stderr


def asked(release: str, answer: str) -> tuple[int, str]:
    """What somebody at a terminal sees who has no Docker, and whether the packages would be installed."""
    ours, theirs = pty.openpty()
    script = f". bin/lib/say.sh; . bin/lib/engine.sh; ask_for_packages {release}"
    os.write(ours, answer.encode())
    done = subprocess.run(["bash", "-c", script], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, timeout=30)
    os.close(theirs)
    output = os.read(ours, 65_536).decode()
    os.close(ours)
    return done.returncode, output


def test_packages_of_another_release_are_added_only_after_a_yes() -> None:
    code, output = asked("debian bookworm", "\n")
    assert code == 1
    assert "trixie" in output
    assert "[y/N]" in output
    assert asked("debian bookworm", "y\n")[0] == 0


@pytest.mark.parametrize("release", ["debian trixie", "ubuntu noble"])
def test_packages_of_the_own_release_are_offered(release: str) -> None:
    code, output = asked(release, "\n")
    assert (code, f"Install Docker from the packages of {release}? [Y/n]" in output) == (0, True)


def test_two_clones_have_images_of_their_own(tmp_path: Path) -> None:
    line = next(line for line in (ROOT / "bin" / "test").read_text().splitlines() if line.startswith("tag="))
    tags = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        script = f"unset TANDEM_TEST_TAG; {line}; echo $tag"
        ran = subprocess.run(["bash", "-c", script], cwd=tmp_path / name, capture_output=True, text=True, timeout=30)
        tags[name] = ran.stdout.strip()
    assert tags["one"] != tags["two"]
    assert all(tag.startswith("test-") for tag in tags.values())


def test_help_lists_the_parts() -> None:
    code, output = ran("--help")
    assert code == 0
    for part in ("fast", "lint", "unit", "integration", "browser", "removal", "conformance"):
        assert part in output


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    code, output = ran("unti")
    assert code == 2
    assert output.startswith("bin/test: unti is neither a part of the tests nor a file: expected fast, lint, unit,")


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        (None, False),
        ("", False),
        ("WORKERS=3", False),
        ("WORKERS=3\n", False),
        ("OPS_TOKEN=\n", True),
        ("OPS_TOKEN_FILE=/run/secrets/ops\n", True),
        ("# OPS_TOKEN=\n", False),
    ],
)
def test_a_token_for_the_operations_page_is_made_once_unless_somebody_has_decided(
    tmp_path: Path, before: str | None, kept: bool
) -> None:
    file = tmp_path / ".env"
    if before is not None:
        file.write_text(before)
    script = (
        f". {ROOT}/bin/lib/say.sh; . {ROOT}/bin/lib/ops-token.sh; unset OPS_TOKEN; ensure_ops_token; ensure_ops_token"
    )
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True, timeout=30, capture_output=True)
    lines = file.read_text().splitlines()
    tokens = [line for line in lines if re.fullmatch(r"OPS_TOKEN=[0-9a-f]{48}", line)]
    assert len(tokens) == (0 if kept else 1)
    assert [line for line in lines if line not in tokens] == (before or "").splitlines()
    if before is None:
        assert file.stat().st_mode & 0o077 == 0
