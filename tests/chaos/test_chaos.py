"""A short chaos run; for a long one see tests/chaos/run."""

from __future__ import annotations

from testcontainers.core.network import Network

from tests.chaos.chaos import LOG_LINES, run
from tests.chaos.cluster import Cluster
from tests.chaos.plan import draw

SEED = 9


def test_random_kills_under_load_lose_nothing_and_store_no_result_twice() -> None:
    print(f"seed {SEED}")
    with Network() as network:
        cluster = Cluster(network)
        try:
            report = run(cluster.start(), draw(SEED, messages=1000, kills=14))
            print(report.summary())
            assert not report.broken, "\n".join([*report.broken, cluster.logs(LOG_LINES)])
        finally:
            cluster.remove()
