"""Real containers under load, killed at random: see chaos.py."""

import os

# Read by testcontainers when it is imported, see tests/integration/conftest.py.
os.environ |= {
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    "TESTCONTAINERS_HOST_OVERRIDE": "localhost",
}
