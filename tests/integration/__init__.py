"""The image under test in real containers."""

import os

# Read by testcontainers when it is imported. Its clean-up container would have to be pulled, and the address that it
# finds by itself is the bridge's: the tests talk to published ports on loopback only. By IPv4, because Docker publishes
# a port under another number for IPv6, so that `localhost` can lead a browser to another container.
os.environ |= {
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
}
