"""gunicorn's configuration, as far as it decides something."""

from __future__ import annotations

import logging

import pytest
from gunicorn.config import Config

from tandem.web import gunicorn_config


@pytest.mark.parametrize(("level", "written"), [(logging.INFO, True), (logging.WARNING, False)])
def test_requests_are_logged_unless_the_log_level_is_above(level: int, written: bool) -> None:
    config = Config()
    config.set("logconfig_dict", gunicorn_config.logconfig_dict)
    logger = gunicorn_config.logger_class(config)

    logging.getLogger("gunicorn").setLevel(level)  # as on_starting does

    assert logger.access_log_enabled is written
