"""The web application: factory, errors, health. Its routes come from the workloads."""
