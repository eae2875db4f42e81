"""The application for the platform's tests with a database."""

workloads = ("sqlapp.ledger",)
