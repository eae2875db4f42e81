"""The steps of a release refuse what does not fit together, and the bill of materials names each package once."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what `bin/release check` reads."""
    for name in ("pyproject.toml", "CHANGELOG.md", "copier.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    return tmp_path


def check(clone: Path, tag: str) -> tuple[int, str]:
    ran = subprocess.run([clone / "bin" / "release", "check", tag], capture_output=True, text=True, timeout=30)
    return ran.returncode, ran.stdout + ran.stderr


def version(clone: Path) -> str:
    lines = (clone / "pyproject.toml").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version = "))


def date_the_changelog(clone: Path) -> None:
    path = clone / "CHANGELOG.md"
    path.write_text(path.read_text().replace("## Unreleased", f"## {version(clone)} - 2026-12-01", 1))


def test_a_release_with_one_version_everywhere_passes(clone: Path) -> None:
    date_the_changelog(clone)
    code, output = check(clone, f"v{version(clone)}")
    assert code == 0, output


def test_a_tag_of_another_version_is_refused(clone: Path) -> None:
    date_the_changelog(clone)
    code, output = check(clone, "v9.9.9")
    assert code == 1
    assert f"expected v{version(clone)}" in output


def test_a_changelog_that_does_not_name_the_version_is_refused(clone: Path) -> None:
    code, output = check(clone, f"v{version(clone)}")
    assert code == 1
    assert 'rename "## Unreleased"' in output


def test_a_skeleton_of_another_version_is_refused(clone: Path) -> None:
    date_the_changelog(clone)
    path = clone / "copier.yml"
    path.write_text(path.read_text().replace(version(clone), "0.0.9"))
    code, output = check(clone, f"v{version(clone)}")
    assert code == 1
    assert "copier.yml makes projects on another version" in output


def test_the_bill_of_materials_follows_its_schema_and_names_each_package_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bin" / "lib"))
    import sbom

    inventory = sbom.Inventory(
        release="debian-13",
        debian=[["libssl3t64", "3.5.1-1", "amd64", "openssl", "3.5.1-1"]],
        python=[["Flask_Thing", "3.1.3", "BSD-3-Clause"], ["redis", "6.4.0", "a whole\nlicence"]],
    )

    document = json.loads(sbom.document("tandem:0.1.0", inventory))

    assert {found["purl"] for found in document["components"]} == {
        "pkg:pypi/flask-thing@3.1.3",
        "pkg:pypi/redis@6.4.0",
        "pkg:deb/debian/libssl3t64@3.5.1-1?arch=amd64&distro=debian-13",
    }
    assert document["metadata"]["component"]["name"] == "tandem"
