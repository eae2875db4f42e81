"""A worker that dies right after the script that stores the end of a translation, once in its container."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from app.translation.store import Store


def die_at_the_first_end() -> None:
    """Patch the store so that the first finished translation kills its worker."""
    stored, died = Store.finish, Path("/run/tandem/died")

    def finish(self: Store, *arguments: Any, **named: Any) -> bool:
        ended = stored(self, *arguments, **named)
        if ended and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ended

    Store.finish = finish  # type: ignore[method-assign]
