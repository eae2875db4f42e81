"""Two metrics with one name would make Prometheus refuse all of them: the start does."""

from __future__ import annotations

import pytest
from flask import Flask

from tandem.config.settings import Settings
from tandem.metrics import Counter, Histogram, instruments
from tandem.registry import LoadError
from tandem.web import metrics
from tandem.workload import Workload


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of these tests are not those of others."""
    monkeypatch.setattr(instruments, "_instruments", {})


def test_a_name_that_two_workloads_have_is_refused_with_both() -> None:
    first = Workload(name="a", metrics=[Counter("orders", "Orders.")])
    second = Workload(name="b", metrics=lambda _: [Histogram("orders", "Orders.")])
    with pytest.raises(LoadError, match="a and b both have the metric orders: rename one of them"):
        metrics.register(Flask("test"), Settings(), [first, second])


@pytest.mark.parametrize("name", ["tandem_workers", "dramatiq_messages"])
def test_a_name_of_the_platform_is_refused(name: str) -> None:
    with pytest.raises(LoadError, match=f"a has the metric {name}, and such names are the platform's: rename it"):
        metrics.register(Flask("test"), Settings(), [Workload(name="a", metrics=[Counter(name, "Work.")])])
