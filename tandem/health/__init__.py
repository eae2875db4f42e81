"""Health checks: whether a container is alive and can serve."""
