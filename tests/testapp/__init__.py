"""The application for the platform's tests: actors that misbehave, and a service for notes."""

workloads = (
    f"{__name__}.actors",
    f"{__name__}.chaos",
    f"{__name__}.notes",
)
