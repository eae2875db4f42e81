"""What differs from dramatiq on purpose, and what cannot be compared: each test that fails on Tandem, and why."""

from __future__ import annotations

#: Modules of tests that say nothing about a broker or a worker, or need what is not here.
NOT_RUN = {
    "test_canteen": "shared memory of the `dramatiq` command, which Tandem does not use",
    "test_cli": "the `dramatiq` command",
    "test_common": "functions without a broker",
    "test_pidfile": "the `dramatiq` command",
    "test_rabbitmq": "needs RabbitMQ",
    "test_types": "for a type checker",
    "test_watch": "the `dramatiq` command",
}

DIFFERENCES: dict[str, str] = {}
