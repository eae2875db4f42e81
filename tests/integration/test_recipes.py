"""The Dockerfiles in docs/how-to/use-seams.md build, and the image has what they add."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.tandem import APP_IMAGE, LABEL
from tests.paths import ROOT

PLATFORM = f"{APP_IMAGE}-platform"
#: Of nobody: made for this test, its key was thrown away.
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIURPKpo5452BJsMSnbWPvvB+SfyyswCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNT3VyIGF1dGhvcml0eTAgFw0yNjEyMDEwMTI4NTJaGA8yMTI2
MTEwNzAxMjg1MlowGDEWMBQGA1UEAwwNT3VyIGF1dGhvcml0eTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABBG4sOrp3kkyuICqlls8ZkMIQmILfJR7Lt6maNIlviDq
mYTVq6PhDMG0uDJKNBFbXTY2dFrIvT2cOaWaWVH+RDKjUzBRMB0GA1UdDgQWBBRR
nQkVYUouHh5gwvLJMMeq6SIvGTAfBgNVHSMEGDAWgBRRnQkVYUouHh5gwvLJMMeq
6SIvGTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIDO1LX2EnrOm
YQrZfUFaTEZhYZo/WiplSP1ohBZESbSIAiEAs8MGP9Xwhtwlo8LDG7CMsfKXUOp+
FbuJNGP85DtmbAI=
-----END CERTIFICATE-----
"""


def recipe(title: str) -> str:
    """The Dockerfile in this section of the page."""
    page = (ROOT / "docs" / "how-to" / "use-seams.md").read_text()
    section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.search(r"^```dockerfile\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def output_in_image(folder: Path, dockerfile: str, *command: str) -> str:
    """Build the image, run a command in it, and remove it."""
    (folder / "Dockerfile").write_text(dockerfile)
    tag = f"tandem-recipe:{APP_IMAGE.rpartition(':')[2]}-{folder.name.replace('_', '-')}"
    try:
        arguments = ["docker", "build", "--quiet", "--tag", tag, "--build-arg", f"TANDEM={PLATFORM}", str(folder)]
        built = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
        assert built.returncode == 0, built.stderr
        run = ["docker", "run", "--rm", "--label", f"{LABEL}=recipe", tag, *command]
        ran = subprocess.run(run, capture_output=True, text=True, timeout=60)
        return ran.stdout + ran.stderr
    finally:
        subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, timeout=60)


def test_a_package_of_debian_is_added(tmp_path: Path) -> None:
    assert "pdftotext version" in output_in_image(tmp_path, recipe("Packages of Debian"), "pdftotext", "-v")


@pytest.mark.parametrize("client", ["tandem.support.tls.context()", "httpx.create_ssl_context()"])
def test_a_private_authority_is_trusted_by_the_clients(tmp_path: Path, client: str) -> None:
    (tmp_path / "our-authority.pem").write_text(AUTHORITY)
    script = f"import httpx, tandem.support.tls; print([a['subject'] for a in {client}.get_ca_certs()])"

    names = output_in_image(tmp_path, recipe("A private certificate authority"), "python", "-c", script)

    assert "Our authority" in names
    assert names.count("commonName") > 50  # and the public ones
