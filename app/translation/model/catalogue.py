"""The models that this server lists: Apertium, and its misbehaving variants for tests."""

import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from .errors import ApiError
from .kinds import Misbehaviour
from .names import full_name
from .settings import Settings
from .translator import MODES

NAME = "apertium"
# Test models that are missing until they are pulled; the pull of the second one is interrupted once.
ABSENT = f"{NAME}-absent:latest"
ABSENT_CUT = f"{NAME}-absent-cut:latest"
# Two that can never be pulled: the registry is unreachable, or it requires a newer server.
ABSENT_OFFLINE = f"{NAME}-absent-offline:latest"
ABSENT_NEWER = f"{NAME}-absent-newer:latest"
PULL_ERRORS = {
    ABSENT_OFFLINE: "pull model manifest: dial tcp: lookup registry on 127.0.0.11:53: server misbehaving",
    ABSENT_NEWER: "pull model manifest: 412: The model you are pulling requires a newer version of Ollama.",
}
PULL_STEPS = 20
APERTIUM_DATA = Path("/usr/share/apertium")
# Nothing is loaded into memory, so nothing is ever unloaded.
NEVER = "9999-12-31T23:59:59Z"
DETAILS = {
    "parent_model": "",
    "format": "apertium",
    "family": "apertium",
    "families": ["apertium"],
    "parameter_size": "0",
    "quantization_level": "none",
}
ABOUT = (
    "# Apertium from Debian: rule-based machine translation with dictionaries and grammar rules.\n"
    "# It is not a neural model. It translates en-es, es-en, fr-es and es-fr, and follows no instruction.\n"
)


class Catalogue:
    """Names and descriptions of models.

    ``data`` is the folder whose files count as the model's size and digest.
    """

    def __init__(self, settings: Settings, data: Path = APERTIUM_DATA) -> None:
        self._misbehave = settings.misbehave
        twins = list(Misbehaviour) if settings.test_models else []
        self._models: dict[str, Misbehaviour | None] = {f"{NAME}:latest": None}
        self._models |= {f"{NAME}-{twin}:latest": twin for twin in twins}
        # The remaining steps of each pull, and the step before which it is interrupted.
        self._absent = {ABSENT: PULL_STEPS, ABSENT_CUT: PULL_STEPS} if settings.test_models else {}
        self._failing = set(PULL_ERRORS) if settings.test_models else set()
        self._breaks = {ABSENT_CUT: PULL_STEPS // 2}
        self._delay = settings.delay
        self._size, self._digest = _measure(data)
        self._modified = datetime.fromtimestamp(data.stat().st_mtime if data.exists() else 0, UTC).isoformat()
        self._contexts: dict[str, int] = {}

    def behaviour(self, name: str) -> Misbehaviour | None:
        """What the model ``name`` plays, None for a well-behaved one.

        Raises ApiError 404 for an unknown name.
        """
        return self._models[self._full(name)] or self._misbehave

    def used(self, name: str, num_ctx: int) -> None:
        """Remember that a chat asked for this context (tokens), for ``ps``."""
        self._contexts[self._full(name)] = num_ctx

    def tags(self) -> dict[str, object]:
        """The answer of ``GET /api/tags``."""
        return {"models": [self._entry(name) | {"modified_at": self._modified} for name in self._models]}

    def ps(self) -> dict[str, object]:
        """The answer of ``GET /api/ps``: the models that were asked so far."""
        loaded = {"expires_at": NEVER, "size_vram": 0}
        contexts = self._contexts.copy()
        return {"models": [self._entry(n) | loaded | {"context_length": c} for n, c in contexts.items()]}

    def show(self, name: str) -> dict[str, object]:
        """The answer of ``POST /api/show``. Raises ApiError 404 for an unknown name."""
        twin = self._models[self._full(name)]
        pairs = [f"{source}-{target}" for source, target in MODES]
        return {
            "license": "GPL; see Debian's packages apertium, apertium-eng-spa and apertium-fr-es",
            "modelfile": ABOUT + (f"# For tests this one plays a failure: {twin}.\n" if twin else ""),
            "parameters": "",
            "template": "",
            "details": DETAILS,
            "model_info": {"general.architecture": "apertium", "apertium.pairs": pairs},
            "capabilities": ["embedding" if twin is Misbehaviour.EMBEDDING else "completion"],
            "modified_at": self._modified,
        }

    def pull(self, name: str) -> Iterator[dict[str, object]]:
        """The progress lines of ``POST /api/pull``: the model is part of the image, nothing is fetched.

        A test model that is absent takes the settings' delay (seconds), and is listed afterwards. Raises ApiError 500
        after the first line for an unknown name, with the text that Ollama has for it, ConnectionError for a pull that
        breaks off.
        """
        yield {"status": "pulling manifest"}
        full = full_name(name)
        if full in PULL_ERRORS and full in self._failing:
            raise ApiError(500, PULL_ERRORS[full])
        if full not in self._models and full not in self._absent:
            raise ApiError(500, "pull model manifest: file does not exist")
        while left := self._absent.get(full, 0):
            yield self._layer(PULL_STEPS - left)
            if self._breaks.get(full) == left:
                del self._breaks[full]
                raise ConnectionError("the pull breaks off")
            time.sleep(self._delay / PULL_STEPS)
            self._absent[full] = left - 1
        yield self._layer(PULL_STEPS)
        for status in ("verifying sha256 digest", "writing manifest"):
            yield {"status": status}
        # A new dictionary: others may be going through this one.
        self._models = {**self._models, full: self._models.get(full)}
        yield {"status": "success"}

    def _layer(self, steps: int) -> dict[str, object]:
        return {
            "status": f"pulling {self._digest[:12]}",
            "digest": f"sha256:{self._digest}",
            "total": self._size,
            "completed": self._size * steps // PULL_STEPS,
        }

    def _full(self, name: str) -> str:
        full = full_name(name)
        if full not in self._models:
            raise ApiError(404, f"model '{name}' not found")
        return full

    def _entry(self, name: str) -> dict[str, object]:
        return {"name": name, "model": name, "size": self._size, "digest": self._digest, "details": DETAILS}


def _measure(data: Path) -> tuple[int, str]:
    """The bytes of the language data, and a digest of its names and sizes, which changes with the package."""
    paths = (path for path in data.rglob("*") if path.is_file())
    files = sorted((str(path.relative_to(data)), path.stat().st_size) for path in paths)
    return sum(size for _, size in files), hashlib.sha256(repr(files).encode()).hexdigest()
