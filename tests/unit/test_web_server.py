"""gunicorn's configuration, as far as it decides something."""

from __future__ import annotations

import logging

import pytest
from gunicorn.config import Config

from app.web import server


@pytest.mark.parametrize(("level", "written"), [(logging.INFO, True), (logging.WARNING, False)])
def test_requests_are_logged_unless_the_log_level_is_above(level: int, written: bool) -> None:
    root = logging.getLogger()
    before, handlers = root.level, root.handlers[:]
    config = Config()
    config.set("logconfig_dict", server.logconfig_dict)
    try:
        logger = server.logger_class(config)
        root.setLevel(level)  # as on_starting does

        assert logger.access_log_enabled is written
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
