"""Traces by OpenTelemetry, and reports to Sentry: for those who have set OTEL_EXPORTER_OTLP_ENDPOINT or SENTRY_DSN.

Without these settings nothing here is imported. Both need further packages, the extras `tracing` and `sentry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError

if TYPE_CHECKING:
    from tandem.broker.broker import Broker


def attach(broker: Broker, settings: Settings) -> None:
    """Let the broker tell about its messages. Raises SettingsError if a package is missing."""
    if settings.otel_exporter_otlp_endpoint and broker.tracing is None:
        try:
            from tandem.telemetry.tracing import Tracing
        except ModuleNotFoundError as error:
            raise _missing("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing", error) from error
        broker.tracing = Tracing(settings)
    if settings.sentry_dsn and broker.reporter is None:
        try:
            from tandem.telemetry.sentry import Sentry
        except ModuleNotFoundError as error:
            raise _missing("SENTRY_DSN", "sentry", error) from error
        broker.reporter = Sentry(settings)


def _missing(setting: str, extra: str, error: ModuleNotFoundError) -> SettingsError:
    return SettingsError(
        [
            f"{setting} is set, but the package {error.name} is not installed: build the image with "
            f"EXTRAS={extra}, or add tandem[{extra}] to your requirements"
        ]
    )
