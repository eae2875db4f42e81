"""Metrics that all processes of an application count together, for /metrics.

    PAYMENTS = Counter("shop_payments", "Payments, by how they ended.", ("provider", "outcome"))
    SECONDS = Histogram("shop_payment_seconds", "How long a payment took.", ("provider",))

    PAYMENTS.add(provider="bank", outcome="paid")
    SECONDS.observe(1.4, provider="bank")

A workload names them in `Workload(metrics=(PAYMENTS, SECONDS))`, without which they are not shown. Each process keeps
what it counts for a second and then adds it to Redis, so every web process and every container shows the same sums,
which survive restarts. A process that is killed loses the last second of its counts.
"""

from tandem.metrics.instruments import Counter, Histogram

__all__ = ["Counter", "Histogram"]
