"""The outbox in /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from tandem.sql import outbox
from tandem.sql.engine import make_engine

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class OutboxCollector:
    """A collector of prometheus_client; it shows nothing while the database does not answer."""

    @cached_property
    def _engine(self) -> Engine:
        # A connection of its own, so that a scrape waits for no request.
        return make_engine(1)

    def collect(self) -> Iterator[Metric]:
        """Yield how many messages wait for Redis, and for how long."""
        from prometheus_client.core import GaugeMetricFamily

        try:
            with self._engine.connect() as connection:
                count, age = outbox.depth(connection)
        except SQLAlchemyError:
            return
        yield GaugeMetricFamily("tandem_outbox_messages", "Messages in the outbox, which wait for Redis.", value=count)
        yield GaugeMetricFamily("tandem_outbox_oldest_seconds", "How long the oldest is there.", value=age)
