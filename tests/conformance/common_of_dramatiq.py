"""The names that dramatiq's tests import from the module `common` beside them, which the package lacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conformance.adapter import running

RABBITMQ_CREDENTIALS = None
skip_in_ci = pytest.mark.skip(reason="dramatiq skips it in its own CI")
skip_on_windows = pytest.mark.skipif(False, reason="not on Windows")
skip_on_pypy = pytest.mark.skipif(False, reason="not on PyPy")


@contextmanager
def worker(broker: Any, **options: Any) -> Iterator[Any]:
    """Run a worker for a block."""
    from .conftest import new_worker  # type: ignore[import-untyped]

    with running(new_worker(broker, **options)) as started:
        yield started
