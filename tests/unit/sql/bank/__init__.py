"""An application with a database, for the tests of tandem.sql."""

workloads = ("bank.accounts",)
