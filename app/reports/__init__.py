"""The second reference workload: visits of pages in a database, and reports of months, quarters and years."""
