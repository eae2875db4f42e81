"""The application: each line names a workload, which is a module or a package. Add yours here."""

workloads = (
    "app.translation",
    "app.reports",
    "app.webhooks",
)
