"""The fixtures of tandem.testing instead of those of the platform's own tests: a database, and messages that run."""

from tandem.testing import _server, client, database, queue, redis_away

__all__ = ["_server", "client", "database", "queue", "redis_away"]
