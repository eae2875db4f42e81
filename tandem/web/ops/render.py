"""What the views of the operations page have in common: pages, refusals, who asks, and where to go afterwards."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, g, render_template, request

from tandem.operate.messages import Filter
from tandem.web.ops.access import PATH, Visitor
from tandem.web.ops.formats import shown


def page(template: str, status: int, **shown: Any) -> Response:
    """Return a page."""
    return Response(render_template(f"ops/{template}", **shown), status, mimetype="text/html")


def refused(sentence: str, status: int) -> Response:
    """Return the page that says why nothing was done."""
    return page("refused.html", status, sentence=as_sentence(sentence))


def as_sentence(text: str) -> str:
    """Return a text with a capital at its beginning and a point at its end."""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def visitor() -> Visitor | None:
    """Return who asks; None on a page for everybody."""
    found: Visitor | None = g.get("ops_visitor")
    return found


def destination(field: str = "next") -> str:
    """Return where to go afterwards: a page of these, and never another server."""
    default = request.full_path if request.method == "GET" and request.endpoint != "ops.login" else PATH
    wanted = request.form.get(field) or request.args.get(field) or default
    inside = wanted == PATH or wanted.startswith((f"{PATH}/", f"{PATH}?"))
    return wanted if inside and not re.search(r"\\|/\.", wanted) and wanted.isprintable() else PATH


def filter_query(wanted: Filter, **changes: str) -> dict[str, str]:
    """Return the query of a link to a list with another filter."""
    fields = {
        "state": wanted.state,
        "queue": wanted.queue,
        "actor": wanted.actor,
        "error": wanted.error,
        "text": wanted.text,
    }
    return {name: value for name, value in (fields | changes).items() if value}


def bulk_command(verb: str, queue: str = "", actor: str = "", error: str = "", text: str = "") -> str:
    """Return the command that does the same to all dead letters of a filter; names come from outside.

    No command finds a text; with one, the ids that `queue messages` prints are to be named.
    """
    if text:
        return f"queue failed {verb} ID…"
    named = {"queue": queue, "actor": actor, "error": error}
    return " ".join([f"queue failed {verb} --all", *(f"--{name} {shown(v)}" for name, v in named.items() if v)])
