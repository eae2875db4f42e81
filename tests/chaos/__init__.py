"""Real containers under load, killed at random: see chaos.py."""

# Sets variables that testcontainers reads at its import.
import tests.integration  # noqa: F401
