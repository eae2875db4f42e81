"""Tests of tandem.telemetry."""
