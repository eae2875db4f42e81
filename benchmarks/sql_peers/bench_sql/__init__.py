"""The application that Tandem runs in this benchmark, which TANDEM_APP names."""

workloads = ("bench_sql.notes",)
