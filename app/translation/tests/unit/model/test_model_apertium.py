"""How the offline model runs Apertium, with small scripts in its place."""

import time
from pathlib import Path

import pytest

from app.translation.model.apertium import Apertium
from app.translation.model.errors import ApiError, ClientGone

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for the script; temporary files go into its ``tmp``."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    return tmp_path


def program(folder: Path, script: str) -> str:
    path = folder / "apertium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def here() -> bool:
    return False


def test_the_text_goes_in_and_the_translation_comes_out(folder: Path) -> None:
    apertium = Apertium(program(folder, 'echo "$@" > "$0.args"; tr a-z A-Z'))
    assert apertium.translate(" un chat\n\nnoir\n", "fr", "es", here) == " un chat\n\nnoir\n".upper()
    assert (folder / "apertium.args").read_text() == "-u fr-es\n"


def test_megabytes_pass_although_the_program_is_slow(folder: Path) -> None:
    text = "word " * 400_000 + "end"
    apertium = Apertium(program(folder, "sleep 0.3; cat"))
    assert apertium.translate(text, "en", "es", here) == text


def test_a_failing_program_is_an_error_that_names_its_status(folder: Path) -> None:
    with pytest.raises(ApiError, match="apertium process has terminated: exit status 3") as failed:
        Apertium(program(folder, "exit 3")).translate("text", "en", "es", here)
    assert failed.value.status == 500


def test_a_missing_program_is_an_error(folder: Path) -> None:
    with pytest.raises(ApiError, match="apertium cannot be started: No such file"):
        Apertium(str(folder / "nothing")).translate("text", "en", "es", here)


def alive(pid_file: Path) -> bool:
    """Whether the process is there and not a zombie that its new parent has yet to reap."""
    try:
        stat = Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


# A child in the background, as Apertium's pipeline has ten.
HANGS = 'sleep 60 & echo $! > "$0.pid"; wait'


def assert_nothing_is_left(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while alive(folder / "apertium.pid") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(folder / "apertium.pid")
    assert list((folder / "tmp").iterdir()) == []


def test_a_program_that_hangs_is_ended_with_its_children(folder: Path) -> None:
    with pytest.raises(ApiError, match="timed out waiting for apertium"):
        Apertium(program(folder, HANGS), timeout=0.5).translate("text", "en", "es", here)
    assert_nothing_is_left(folder)


def test_work_for_a_client_that_is_gone_ends(folder: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ClientGone):
        Apertium(program(folder, HANGS)).translate("text", "en", "es", (folder / "apertium.pid").exists)
    assert time.monotonic() - started < 5
    assert_nothing_is_left(folder)
