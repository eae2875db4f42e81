"""`queue check` refuses what a container would refuse at its start, each with one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.cli import check
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError
from tandem.config.values import MIB
from tandem.process import programs, start_steps
from tandem.registry import LoadError
from tandem.support.deadline import deadline


@pytest.mark.parametrize("name", ["web.conf", "a-b.conf"])
def test_a_program_that_a_start_would_refuse_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_text(f"[program:{name.removesuffix('.conf')}]\ncommand=true\n")
    monkeypatch.setattr(programs, "read", lambda folder=tmp_path, read=programs.read: read(folder))
    with pytest.raises(SettingsError, match=f"{name}: the name"):
        check.require_runnable(Settings())


def test_a_start_step_with_a_wrong_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "migrate").touch()
    monkeypatch.setattr(start_steps, "steps", lambda steps=start_steps.steps: steps(tmp_path))
    with pytest.raises(SettingsError, match="is no start step: expected a name such as 10-migrate"):
        check.require_runnable(Settings())


def test_an_error_of_a_workloads_function_is_one_line_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_config: Settings) -> None:
        raise ZeroDivisionError("division by\nzero")

    monkeypatch.setattr("tandem.registry.load_and_verify", load)
    with pytest.raises(LoadError) as raised:
        check.require_runnable(Settings())
    (line,) = raised.value.lines
    assert "test_check.py:" in line
    assert line.endswith("ZeroDivisionError: division by zero")


def test_code_that_blocks_is_named_after_a_while() -> None:
    with pytest.raises(TimeoutError, match="it has not ended after 1 s"), deadline(1):
        while True:
            pass


@pytest.mark.parametrize(("uses", "advice"), [(40, "128M"), (63, "128M"), (64, "192M"), (300, "384M")])
def test_a_memory_limit_that_a_worker_exceeds_at_once_is_refused_with_one_that_suffices(
    monkeypatch: pytest.MonkeyPatch, uses: int, advice: str
) -> None:
    monkeypatch.setattr("tandem.registry.load_and_verify", lambda _config: ())
    monkeypatch.setattr(check, "resident_memory", lambda: uses * MIB)
    with pytest.raises(
        SettingsError, match=f"expected more than the {uses} MiB .*, such as {advice}, or 0 for no limit"
    ):
        check.require_runnable(Settings(worker_memory_limit=32 * MIB))
