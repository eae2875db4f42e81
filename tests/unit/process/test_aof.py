"""A damaged append-only file: truncated if only an unfinished command is lost, otherwise refused in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tandem.process import aof
from tandem.process.aof import FOLDER, MANIFEST, MARKER, Damaged, Truncation, evaluate, examine, is_unfinished

COMMAND = b"*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$7\r\nvalue 1\r\n"
NAMES = ("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof")
ENTRIES = f"file {NAMES[0]} seq 1 type b\nfile {NAMES[1]} seq 1 type i startoffset 0 endoffset 9\n"
INSIDE = COMMAND * 2 + COMMAND.replace(b"$5", b"$6") + COMMAND


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A volume with a whole file."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / MANIFEST).write_text(ENTRIES)
    for name in NAMES:
        (folder / name).write_bytes(COMMAND * 3)
    return tmp_path


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-check-aof, which the image has: everything up to the first byte that is no whole command is right."""

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[bytes]:
        path = Path(command[1]).parent / NAMES[1]
        content = path.read_bytes()
        keep = 0
        while content.startswith(COMMAND, keep):
            keep += len(COMMAND)
        said = f"AOF analyzed: filename={path.name}, size={len(content)}, ok_up_to={keep}, ok_up_to_line=1, diff=2\n"
        return subprocess.CompletedProcess(command, int(keep < len(content)), said.encode())

    monkeypatch.setattr("subprocess.run", run)


@pytest.mark.parametrize(
    "tail",
    [
        b"\0" * 512,
        b"\0" * (2 * 2**20),
        COMMAND[:-1],
        COMMAND[:-9],
        COMMAND[:15],
        COMMAND[:3],
        b"*",
        COMMAND[:20] + b"\0" * 4096,
        b"*1\r\n$5\r\nMULTI\r\n" + COMMAND + COMMAND[:7],
    ],
)
def test_an_unfinished_end_is_cut_off(data: Path, tail: bytes) -> None:
    path = data / FOLDER / NAMES[1]
    path.write_bytes(COMMAND * 3 + tail)

    cut = examine(data)

    assert cut == Truncation(path, len(COMMAND) * 3, len(COMMAND) * 3 + len(tail))
    assert f"the last {len(tail)} bytes of {NAMES[1]} were not a complete command and were removed" in str(cut)
    cut.apply()
    assert path.read_bytes() == COMMAND * 3
    assert examine(data) is None


@pytest.mark.parametrize(
    "tail",
    [
        COMMAND.replace(b"$5", b"$4") + COMMAND,
        # A length that extends beyond the end covers everything after it.
        COMMAND.replace(b"$7", b"$7000000") + COMMAND * 5,
        b"\0" * 512 + COMMAND,
        b"garbage",
    ],
)
def test_damage_with_commands_after_it_is_never_truncated(data: Path, tail: bytes) -> None:
    path = data / FOLDER / NAMES[1]
    path.write_bytes(COMMAND * 3 + tail)

    with pytest.raises(Damaged, match=rf"{NAMES[1]} is damaged at byte {len(COMMAND) * 3} of .*redis-check-aof --fix"):
        examine(data)

    assert path.read_bytes() == COMMAND * 3 + tail


def test_a_tail_that_is_too_long_for_a_command_is_damage(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aof, "_MAX_TAIL", 10)
    (data / FOLDER / NAMES[1]).write_bytes(COMMAND * 3 + COMMAND[:-1])
    with pytest.raises(Damaged):
        examine(data)


def test_damage_of_a_file_with_newer_ones_after_it_requires_the_backup(data: Path) -> None:
    said = f"AOF analyzed: filename={NAMES[0]}, size=900, ok_up_to=7, ok_up_to_line=1, diff=893\n"
    with pytest.raises(Damaged, match=f"{NAMES[0]} is damaged at byte 7 of 900, and newer files follow it: put a back"):
        evaluate(data / FOLDER / NAMES[1], said)


def test_an_empty_base_is_no_empty_start(data: Path) -> None:
    (data / FOLDER / NAMES[0]).write_bytes(b"")
    with pytest.raises(Damaged, match=rf"{NAMES[0]} is empty, so the data that Redis had stored is lost: put a backup"):
        examine(data)


def test_a_name_that_leads_out_of_the_folder_is_damage(data: Path) -> None:
    (data / FOLDER / MANIFEST).write_text("file ../../etc/passwd seq 1 type i\n")
    with pytest.raises(Damaged, match=f"{MANIFEST} is damaged"):
        examine(data)


def test_a_part_that_cannot_be_read_is_named_and_no_backup_is_asked_for(data: Path) -> None:
    (data / FOLDER / NAMES[1]).unlink()
    (data / FOLDER / NAMES[1]).mkdir()
    with pytest.raises(OSError, match=NAMES[1]):
        examine(data)


def test_what_redis_check_aof_says_of_a_base_is_passed_on(data: Path) -> None:
    with pytest.raises(Damaged, match="cannot be read: Wrong signature: put a backup"):
        evaluate(data / FOLDER / NAMES[1], "Start checking\nWrong signature\n")


def test_a_new_volume_begins_empty(tmp_path: Path) -> None:
    assert examine(tmp_path) is None
    (tmp_path / FOLDER).mkdir()
    assert examine(tmp_path) is None
    assert not (tmp_path / MARKER).exists()


def test_a_volume_that_has_had_data_never_begins_empty_in_silence(data: Path) -> None:
    assert examine(data) is None
    for path in (data / FOLDER).iterdir():
        path.unlink()

    with pytest.raises(Damaged, match=f"append-only file is missing.*start with an empty queue.* rm {data / MARKER}$"):
        examine(data)

    (data / MARKER).unlink()
    assert examine(data) is None


@pytest.mark.parametrize("content", [None, "", "\0" * 40, "file", "garbage\n"])
def test_a_missing_or_damaged_manifest_is_reported_with_the_command_that_writes_it(
    data: Path, content: str | None
) -> None:
    manifest = data / FOLDER / MANIFEST
    manifest.unlink()
    if content is not None:
        manifest.write_text(content)

    with pytest.raises(Damaged, match=r"printf") as error:
        examine(data)

    command = str(error.value).partition("docker compose run --rm app ")[2]
    subprocess.Popen(["/bin/sh", "-c", command]).wait()
    assert manifest.read_text() == ENTRIES.replace(" startoffset 0 endoffset 9", "")
    assert examine(data) is None


def test_where_several_manifests_are_possible_only_the_backup_helps(data: Path) -> None:
    (data / FOLDER / MANIFEST).unlink()
    (data / FOLDER / "appendonly.aof.2.incr.aof").touch()
    with pytest.raises(Damaged, match=f"has no {MANIFEST}: put a backup of /data back") as error:
        examine(data)
    assert "printf" not in str(error.value)


def test_a_missing_file_of_the_manifest_is_reported(data: Path) -> None:
    (data / FOLDER / NAMES[0]).unlink()
    with pytest.raises(Damaged, match=f"lacks {NAMES[0]}, which its manifest names"):
        examine(data)


def test_every_beginning_of_a_command_is_unfinished_and_no_end_of_one_is() -> None:
    assert all(is_unfinished(COMMAND[:end]) for end in range(len(COMMAND)))
    assert not any(is_unfinished(COMMAND[start:] + COMMAND) for start in range(1, len(COMMAND)))
