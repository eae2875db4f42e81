"""What differs from dramatiq on purpose, and what cannot be compared: each test that fails on Tandem, and why."""

from __future__ import annotations

#: Modules of tests that say nothing about a broker or a worker, or need what is not here.
NOT_RUN = {
    "test_broker": "imports the client of RabbitMQ",
    "test_canteen": "shared memory of the `dramatiq` command, which Tandem does not use",
    "test_cli": "the `dramatiq` command",
    "test_common": "functions without a broker",
    "test_pidfile": "the `dramatiq` command",
    "test_rabbitmq": "needs RabbitMQ",
    "test_types": "for a type checker",
    "test_watch": "the `dramatiq` command",
}

_CONSUMERS = "looks into the consumers and queues in the memory of dramatiq's worker"
_REDIS_BROKER = "calls private methods of dramatiq's RedisBroker"
_STUB_BROKER = "about StubBroker's own objects; fails on dramatiq's RedisBroker as well"
_WORDS = "the log line has other words"
_AGE = "the text of the exception says the age"

DIFFERENCES = {
    # On purpose. An unknown option is refused when all is loaded, because a workload's middleware may bring it.
    "test_actors::test_actors_cannot_be_assigned_arbitrary_options": "refused at the start, with file and line",
    "test_actors::test_actors_can_prioritize_work": "orders what was claimed at once, which is little",
    "test_actors::test_workers_log_rate_limit_exceeded_errors_differently": _WORDS,
    "test_actors::test_worker_handles_non_numeric_eta_and_logs_warning": _WORDS,
    "test_results::test_actor_warning_when_returns_result_and_no_results_middleware_present": _WORDS,
    "test_results::test_age_limit_skipped_messages_store_consistent_exceptions[redis]": _AGE,
    "test_results::test_age_limit_skipped_messages_store_consistent_exceptions[stub]": _AGE,
    # Not comparable.
    "test_messages::test_messageproxy_representation": _CONSUMERS,
    "test_redis::test_redis_broker_can_connect_via_client": "expects a Redis on port 6379",
    "test_redis::test_redis_broker_can_connect_via_url": "expects a Redis on port 6379",
    "test_redis::test_redis_consumer_ack_can_retry_on_connection_error": _CONSUMERS,
    "test_redis::test_redis_consumer_nack_can_retry_on_connection_error": _CONSUMERS,
    "test_redis::test_redis_consumer_nack_does_not_raise_on_missing_id": _CONSUMERS,
    "test_redis::test_redis_dead_lettered_messages_are_cleaned_up": _REDIS_BROKER,
    "test_redis::test_redis_join_race_condition": _REDIS_BROKER,
    "test_redis::test_redis_messages_belonging_to_missing_actors_are_rejected": _REDIS_BROKER,
    "test_redis::test_redis_requeues_unhandled_delay_messages_on_shutdown": _REDIS_BROKER,
    "test_redis::test_redis_requeues_unhandled_messages_on_shutdown": _REDIS_BROKER,
    "test_redis::test_redis_unacked_messages_can_be_requeued": _REDIS_BROKER,
    "test_stub_broker::test_stub_broker_can_be_flushed": _STUB_BROKER,
    "test_stub_broker::test_stub_broker_raises_queue_error_when_consuming_undeclared_queues": _CONSUMERS,
    "test_stub_broker::test_stub_broker_raises_queue_error_when_enqueueing_messages_on_undeclared_queues": _STUB_BROKER,
    "test_stub_broker::test_stub_broker_respects_prefetch": _CONSUMERS,
    "test_worker::test_workers_dont_register_queues_that_arent_whitelisted": _CONSUMERS,
    "test_worker::test_workers_process_messages_in_order": _CONSUMERS,
}

#: Our own probes that see something else on Tandem than on dramatiq's RedisBroker, and why.
_REASON = "the failure says why: Rejected, and the middleware's reason"
PROBES = {
    "a middleware does: fail before the message runs": _REASON,
    "a middleware does: fail after it has run": _REASON,
    "a middleware does: fail after it has failed": "dramatiq stores a dead letter and retries the message as well",
    "join of an empty queue, and of one that does not exist": "QueueNotFound, as of dramatiq's StubBroker",
}
