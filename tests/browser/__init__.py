"""The operations page, in a real Chromium that talks to a real container."""

# It sets what testcontainers reads when it is imported.
import tests.integration  # noqa: F401
