"""Every response matches /openapi.json: Schemathesis generates valid and invalid requests from it.

TANDEM_SCHEMA_EXAMPLES=1000 makes a long run of it (1,000 examples for each operation and more of each kind of mistake).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = int(os.environ.get("TANDEM_SCHEMA_EXAMPLES", "15"))
LONGEST_SECONDS = 120 + 4 * EXAMPLES
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105


@pytest.mark.parametrize("token", ["", TOKEN], ids=["open", "with a token"])
def test_no_response_violates_the_openapi_document(
    start: Callable[..., Tandem], model: Model, token: str, tmp_path: Path
) -> None:
    # Short texts that finish soon, and a queue for all of them.
    tandem = start(API_TOKEN=token, QUEUE_LIMIT="1000000", TRANSLATION_MAX_CHARS="2000", LOG_LEVEL="WARNING")
    tandem.await_healthy()

    output = schemathesis(tandem, tmp_path, *(["--header", f"Authorization: Bearer {token}"] if token else []))

    sent = re.search(r"(\d+) generated, \1 passed", output)
    assert sent and int(sent[1]) >= 10 * EXAMPLES, output
    selected = re.search(r"Selected: (\d+)/\d+\n +Tested: \1\n", output)
    assert selected, output
    print(output[output.index("SUMMARY") :])
    assert not tandem.tracebacks_of("web")
    assert tandem.request("GET", "/healthz").status_code == 200


def schemathesis(tandem: Tandem, folder: Path, *options: str) -> str:
    """Run Schemathesis and return its output; its findings are the text of the failure."""
    command = [SCHEMATHESIS, "--no-color", "--config-file", CONFIGURATION, "run", f"{tandem.url}/openapi.json"]
    # Those of other workloads have rules of their own.
    command += ["--include-tag", "translations", "--include-tag", "health"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1", "--request-timeout", "20", "--continue-on-failure"]
    command += ["--generation-database", "none", "--no-shrink", *options]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=LONGEST_SECONDS, cwd=folder, check=False
    )
    if done.returncode:
        pytest.fail(done.stdout[-20_000:] + done.stderr[-5_000:])
    return done.stdout
