"""Real containers under load, killed at random: see chaos.py."""

# It sets what testcontainers reads when it is imported.
import tests.integration  # noqa: F401
