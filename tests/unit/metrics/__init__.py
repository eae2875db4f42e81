"""Tests of tandem.metrics."""
