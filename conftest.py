"""The fixtures of all tests, the platform's and those that lie with a workload."""

import tandem.runtime  # noqa: F401  makes the broker that actors are declared on, whatever a test imports first

pytest_plugins = [
    "tests.unit.fixtures",
    "tests.integration.containers",
    "tests.integration.fixtures",
    "tests.browser.fixtures",
]
