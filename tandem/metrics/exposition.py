"""Everything that /metrics answers, in the text format that the client asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import redis
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from tandem.broker import totals
from tandem.metrics import families, histograms
from tandem.metrics.instruments import Instrument
from tandem.operate import queue_stats

_END = b"# EOF\n"


@dataclass(frozen=True)
class Sources:
    """Where the figures come from. client: one that does not decode.

    queue_of: the queues of the declared actors. instruments: what all processes count together. collectors: of
    prometheus_client, by workloads.
    """

    client: redis.Redis
    queue_of: Mapping[str, str]
    instruments: Collection[Instrument] = ()
    collectors: Collection[Any] = ()


def render(
    sources: Sources, accept: str, *, of_dramatiq: bool = False, redis_answers: bool = True
) -> tuple[bytes, str]:
    """Return all metrics and their content type. accept: the header of the request.

    of_dramatiq: only the queue's, under the names of dramatiq's own middleware. While Redis does not answer, only that
    and the figures of the container. redis_answers: False if that is known, so that it is not waited for again.
    """
    encode, content_type = choose_encoder(accept)
    try:
        if not redis_answers:
            raise redis.ConnectionError("Redis did not answer a moment ago")
        found, lines = (_of_dramatiq if of_dramatiq else _of_tandem)(sources)
    except redis.RedisError:
        found, lines = list(families.away()), iter(())
    body = encode(_registry(found, () if of_dramatiq else sources.collectors))
    text = "".join(lines).encode()
    return (body.removesuffix(_END) + text + _END if body.endswith(_END) else body + text), content_type


class _Found:
    """A collector of what was read already."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        return iter(self._found)


def _registry(found: list[Metric], collectors: Collection[Any]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(found))
    for collector in collectors:
        registry.register(collector)
    return registry


def _of_tandem(sources: Sources) -> tuple[list[Metric], Iterator[str]]:
    client = sources.client
    states, workers = queue_stats.queues(client, set(sources.queue_of.values())), queue_stats.workers(client)
    found = totals.totals(client, [state.name for state in states])
    parts = (
        families.messages(found),
        families.queues(states),
        families.workers(workers),
        families.restarts(client),
        families.alerts(client),
        families.redis_server(client),
        families.container(),
        families.shared(client, sources.instruments),
    )
    return list(chain.from_iterable(parts)), histograms.write(found)


def _of_dramatiq(sources: Sources) -> tuple[list[Metric], Iterator[str]]:
    client = sources.client
    states, workers = queue_stats.queues(client, set(sources.queue_of.values())), queue_stats.workers(client)
    found = totals.totals(client, [state.name for state in states])
    return list(families.dramatiq(found, states, workers, sources.queue_of)), histograms.write_dramatiq(found)
