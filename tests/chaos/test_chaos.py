"""A short run of chaos; a long one is one command, see tests/chaos/run."""

from __future__ import annotations

from testcontainers.core.network import Network

from tests.chaos.chaos import LOG_LINES, run
from tests.chaos.house import House
from tests.chaos.plan import draw

SEED = 9


def test_random_kills_under_load_lose_nothing_and_store_no_result_twice() -> None:
    print(f"seed {SEED}")
    with Network() as network:
        house = House(network)
        try:
            verdict = run(house.start(), draw(SEED, messages=1000, kills=14))
            print(verdict.summary())
            assert not verdict.broken, "\n".join([*verdict.broken, house.logs(LOG_LINES)])
        finally:
            house.remove()
