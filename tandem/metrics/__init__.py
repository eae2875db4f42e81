"""Metrics that all processes of an application count together, for /metrics.

    CALLS = Counter("translation_model_calls", "Calls to the model.", ("model", "outcome"))
    SECONDS = Histogram("translation_model_seconds", "How long a call to the model took.", ("model",))

    CALLS.add(model="gemma", outcome="answered")
    SECONDS.observe(1.4, model="gemma")

A workload names them in `Workload(metrics=(CALLS, SECONDS))`. Each process keeps what it counts for a second and then
adds it to Redis, so every web process and every container shows the same sums, which survive restarts. A process that
is killed loses the last second of its counts. Without a name in `Workload(metrics=…)`, nothing is shown.
"""

from tandem.metrics.instruments import Counter, Histogram

__all__ = ["Counter", "Histogram"]
