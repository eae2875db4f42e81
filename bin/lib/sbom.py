"""Writes the bill of materials of an image as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json).

It names each package of Python and of Debian that is installed in the image: it reads the image and no lock file.

Usage: .venv/bin/python bin/lib/sbom.py IMAGE      called by bin/sbom
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

TIMEOUT = 120
#: Runs inside the image, which has no tool for this.
INVENTORY = """
import json, subprocess
from importlib.metadata import distributions
fields = "${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\t${source:Version}\\n"
packages = subprocess.run(["dpkg-query", "--show", "--showformat", fields], capture_output=True, text=True, check=True)
release = dict(line.split("=", 1) for line in open("/etc/os-release").read().splitlines() if "=" in line)
print(json.dumps({
    "release": release["ID"].strip('"') + "-" + release["VERSION_ID"].strip('"'),
    "debian": [line.split("\\t") for line in packages.stdout.splitlines()],
    "python": sorted(
        (found.name, found.version, found.metadata["License-Expression"] or found.metadata["License"] or "")
        for found in distributions()
    ),
}))
"""


class SbomError(Exception):
    """The image cannot be read, or the document would be invalid."""


@dataclass(frozen=True)
class Inventory:
    """What an image contains; release: such as debian-13."""

    release: str
    debian: list[list[str]]
    python: list[list[str]]


def read(image: str) -> Inventory:
    """Read the inventory of an image in a container without a network. Raises SbomError."""
    command = ["docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python", image, "-"]
    ran = subprocess.run(command, input=INVENTORY, capture_output=True, text=True, timeout=TIMEOUT)  # noqa: S603
    if ran.returncode:
        # Docker's own hint comes last.
        lines = [line for line in ran.stderr.splitlines() if line.strip() and not line.startswith("Run 'docker")]
        raise SbomError(f"{image} cannot be read: {lines[-1] if lines else 'docker run failed'}")
    return Inventory(**json.loads(ran.stdout))


def python_components(found: Iterable[list[str]]) -> list[Component]:
    """Return the packages of Python (https://github.com/package-url/purl-spec: pkg:pypi/NAME@VERSION)."""
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=PackageURL("pypi", name=re.sub(r"[-_.]+", "-", name).lower(), version=version),
            bom_ref=f"python:{name}@{version}",
            # Some packages have the whole text of their licence where its name belongs.
            licenses=[DisjunctiveLicense(name=text)] if text and "\n" not in text else [],
        )
        for name, version, text in found
    ]


def debian_components(found: Iterable[list[str]], release: str) -> list[Component]:
    """Return the packages of Debian, with the source package by which Debian's security tracker knows them."""
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": release}),
            bom_ref=f"debian:{name}:{architecture}@{version}",
            properties=[
                Property(name="debian:source", value=source),
                Property(name="debian:source-version", value=source_version),
            ],
        )
        for name, version, architecture, source, source_version in found
    ]


def document(image: str, inventory: Inventory) -> str:
    """Return the document as JSON, checked against CycloneDX' schema. Raises SbomError."""
    name, _, version = image.partition(":")
    root = Component(type=ComponentType.CONTAINER, name=name, version=version or "latest", bom_ref="image")
    components = [*python_components(inventory.python), *debian_components(inventory.debian, inventory.release)]
    bom = Bom(components=components)
    bom.metadata.component = root
    bom.register_dependency(root, components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SbomError(f"the bill of materials of {image} does not follow its schema: {error}")
    return text


if __name__ == "__main__":
    try:
        print(document(sys.argv[1], read(sys.argv[1])))
    except (SbomError, subprocess.TimeoutExpired) as error:
        sys.exit(f"bin/sbom: {error}")
