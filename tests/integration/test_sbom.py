"""The bill of materials of the image names what is installed in it, as other tools count it."""

from __future__ import annotations

import json
import re
import subprocess

from tests.integration.tandem import APP_IMAGE
from tests.paths import ROOT


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT).stdout


def test_the_bill_of_materials_names_every_package_of_the_image() -> None:
    components = json.loads(output("bin/sbom", APP_IMAGE))["components"]

    named = {component["purl"].partition("?")[0] for component in components}
    listed = output("docker", "run", "--rm", "--entrypoint", "sh", APP_IMAGE, "-c", "cat /var/lib/dpkg/status")
    debian = set(re.findall(r"^Package: (.+)$", listed, re.MULTILINE))
    assert {component["name"] for component in components if component["purl"].startswith("pkg:deb")} == debian
    locked = re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    installed = {f"pkg:pypi/{name}@{version}" for name, version in locked}
    # Those for other platforms and older Pythons are locked and not installed.
    assert len(installed - named) <= 3, installed - named
    assert f"pkg:pypi/tandem@{_version()}" in named


def _version() -> str:
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]
