"""The routes of the operations page."""

from __future__ import annotations

from flask import Blueprint

from tandem.config.settings import Settings
from tandem.web.ops import action_views, guard, page_views
from tandem.web.ops.access import PATH, Access
from tandem.web.ops.desk import Ops
from tandem.web.ops.formats import FILTERS
from tandem.workload import Workload


def make_blueprint(settings: Settings, workloads: tuple[Workload, ...]) -> Blueprint:
    """Return the routes."""
    access, ops = Access(settings), Ops(settings, workloads)
    routes = Blueprint(
        "ops", __name__, url_prefix=PATH, template_folder="templates", static_folder="static", static_url_path="/static"
    )
    for name, function in FILTERS.items():
        routes.add_app_template_filter(function, name)
    guard.register(routes, settings, access)
    page_views.register(routes, ops)
    action_views.register(routes, ops, access)
    return routes
