"""Containers of this application instead of the platform's."""

from app.translation.tests.integration.fixtures import app, model, new_model, start, start_mixed

__all__ = ["app", "model", "new_model", "start", "start_mixed"]
