"""The application that Tandem runs in this benchmark, which TANDEM_APP names."""

workloads = ("bench.noops", "bench.jobs")
