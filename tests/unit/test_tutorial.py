"""The tutorial's workload, and what the how-to guides add to it, do what these pages say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
_IMPORTS = """\
import json
from collections.abc import Sequence
from pydantic import BaseModel
from tandem import sse
"""
_CLIENT = """
import json
from tandem.web.application import create_app

client = create_app().test_client()
sent = client.post("/greetings", json={"name": "Ada"})
path = sent.headers["Location"]
print(json.dumps({
    "sent": sent.status_code,
    "greeting": client.get(path).get_json(),
    "refused": client.post("/greetings", json={"nam": "Ada"}).get_json(),
    "events": client.get(path + "/events").get_data(as_text=True),
    "paths": sorted(client.get("/openapi.json").get_json()["paths"]),
}))
"""


def python_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def with_guides(module: str) -> str:
    """Return the tutorial's module after the guides on events and on the description of routes were followed."""
    actor, events = python_of("how-to/stream-events.md")
    (described,) = python_of("how-to/describe-routes.md")
    module = module.replace("\nfrom functools", f"\n{_IMPORTS}from functools", 1)
    stored = next(line for line in module.splitlines() if "store().set(" in line)
    module = module.replace(stored, actor.rstrip())
    return module.replace("    return routes\n", textwrap.indent(events, "    ") + "\n    return routes\n") + described


@pytest.mark.parametrize("guides", [False, True])
def test_greetings_are_sent_and_read(guides: bool, tmp_path: Path) -> None:
    module, *_ = python_of("tutorial/first-workload.md")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text('workloads = ("shop.greetings",)\n')
    (tmp_path / "shop" / "greetings.py").write_text(with_guides(module) if guides else module)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "TANDEM_APP": "shop",
        "QUEUE_TRANSPORT": "sync",
        "LOG_LEVEL": "ERROR",
    }

    ran = subprocess.run([sys.executable, "-c", _CLIENT], env=environment, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["sent"] == 202
    assert said["greeting"]["text"] == "Hello, Ada!"
    assert said["refused"]["detail"] == "expected an object with the string name"
    if guides:
        assert 'event: end\ndata: {"text": "Hello, Ada!"}' in said["events"]
        assert "/greetings/{greeting_id}" in said["paths"]
