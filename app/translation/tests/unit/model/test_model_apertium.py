"""How the offline model runs Apertium, with small scripts in the place of its programs."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.translation.model.apertium import KEPT, Apertium
from app.translation.model.errors import ApiError, ClientGone

pytestmark = pytest.mark.slow

#: Answers each text in capitals, as Apertium's programs do with -z; says when it starts.
CAPITALS = r"""import os, sys
assert sys.argv[1] == "-z", sys.argv
open(sys.argv[2], "a").write(f"{os.getpid()} {sys.argv[3:]}\n")
text = b""
while block := os.read(0, 65536):
    *whole, text = (text + block).split(b"\0")
    for one in whole:
        out = one.decode().upper().encode() + b"\0"
        while out:
            out = out[os.write(1, out):]
"""

Make = Callable[..., Apertium]


def here() -> bool:
    return False


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes Apertium with `pipeline` in the place of the programs of every mode."""
    made: list[Apertium] = []

    def make(pipeline: str, **options: float) -> Apertium:
        for mode in ("eng-spa", "fr-es"):
            (tmp_path / f"{mode}.mode").write_text(pipeline + "\n")
        made.append(Apertium(tmp_path, deformat=["cat"], reformat=["cat"], **options))
        return made[-1]

    yield make
    for apertium in made:
        apertium.close()


def script(folder: Path, text: str) -> str:
    """A program for a pipeline, whose option -z means nothing to it."""
    path = folder / f"script-{len(list(folder.glob('script-*')))}"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def capitals(tmp_path: Path) -> str:
    """A pipeline of two programs that notes its starts in `starts`."""
    program = tmp_path / "capitals"
    program.write_text(f"#!/usr/bin/env python3\n{CAPITALS}")
    program.chmod(0o755)
    return f"{program} '{tmp_path}/starts' $1 '$2' | {program} '{tmp_path}/starts-2'"


def test_the_text_goes_in_and_the_translation_comes_out(make: Make, capitals: str, tmp_path: Path) -> None:
    assert make(capitals).translate(" un chat\n\nnoir\n", "fr", "es", here) == " un chat\n\nnoir\n".upper()
    assert (tmp_path / "starts").read_text().split(maxsplit=1)[1] == "['-n', '$2']\n"


def test_one_pipeline_translates_one_text_after_the_other(make: Make, capitals: str, tmp_path: Path) -> None:
    apertium = make(capitals)
    assert [apertium.translate(word, "en", "es", here) for word in ("one", "two", "", "three")] == [
        "ONE",
        "TWO",
        "",
        "THREE",
    ]
    assert len((tmp_path / "starts").read_text().splitlines()) == 1


def test_the_tagger_runs_for_one_text_only(
    make: Make, capitals: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = Path(script(tmp_path, f"echo $$ >> {tmp_path}/tagged; tr A-Z a-z; echo !")).rename(
        tmp_path / "apertium-tagger"
    )
    monkeypatch.setenv("PATH", str(tagger.parent), prepend=":")
    apertium = make(f"{capitals} | apertium-tagger -g $2 | {capitals}")
    assert [apertium.translate(word, "en", "es", here) for word in ("one", "two")] == ["ONE!", "TWO!"]
    assert len((tmp_path / "tagged").read_text().split()) == 2
    # The program before it and the one after it, which are the same here.
    assert len((tmp_path / "starts").read_text().splitlines()) == 1


def test_megabytes_pass_although_the_program_is_slow(make: Make, capitals: str, tmp_path: Path) -> None:
    text = "word " * 400_000 + "end"
    assert (
        make(script(tmp_path, "sleep 0.3; exec cat") + " | " + capitals).translate(text, "en", "es", here)
        == text.upper()
    )


def test_a_failing_program_is_an_error_that_names_its_status_and_the_next_text_gets_a_new_one(
    make: Make, capitals: str, tmp_path: Path
) -> None:
    apertium = make(script(tmp_path, "exit 3"))
    with pytest.raises(ApiError, match="apertium process has terminated: exit status 3") as failed:
        apertium.translate("text", "en", "es", here)
    assert failed.value.status == 500
    (tmp_path / "eng-spa.mode").write_text(capitals)
    assert apertium.translate("text", "en", "es", here) == "TEXT"


def test_a_missing_mode_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="apertium cannot be started: No such file"):
        Apertium(tmp_path / "nothing", deformat=["cat"]).translate("text", "en", "es", here)


def test_a_missing_program_beside_the_pipeline_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="no-such-program cannot be started: No such file"):
        Apertium(tmp_path, deformat=["no-such-program"]).translate("text", "en", "es", here)


def alive(pid: str) -> bool:
    """Whether the process is there and not a zombie that its new parent has yet to reap."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def hangs(folder: Path) -> str:
    """A pipeline whose program has a child in the background."""
    return script(folder, f"sleep 60 & echo $! > {folder}/pid; wait")


def await_alive(pids: list[str], number: int) -> None:
    deadline = time.monotonic() + 5
    while sum(map(alive, pids)) != number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_hangs_is_ended_with_its_children(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="timed out waiting for apertium"):
        make(hangs(tmp_path), timeout=0.5).translate("text", "en", "es", here)
    await_alive((tmp_path / "pid").read_text().split(), 0)


def test_work_for_a_client_that_is_gone_ends(make: Make, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ClientGone):
        make(hangs(tmp_path)).translate("text", "en", "es", (tmp_path / "pid").exists)
    assert time.monotonic() - started < 5
    await_alive((tmp_path / "pid").read_text().split(), 0)


def test_of_many_pipelines_at_once_only_a_few_are_kept(make: Make, capitals: str, tmp_path: Path) -> None:
    many, apertium = KEPT + 3, make(script(tmp_path, "sleep 0.5; exec cat") + " | " + capitals)
    with ThreadPoolExecutor(many) as pool:
        answers = list(pool.map(lambda n: apertium.translate(f"text {n}", "en", "es", here), range(many)))
    assert answers == [f"TEXT {n}" for n in range(many)]
    pids = [line.split()[0] for line in (tmp_path / "starts").read_text().splitlines()]
    assert len(pids) == many
    await_alive(pids, KEPT)
