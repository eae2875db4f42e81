"""The description of a workload's routes, and the caller of a view."""

from tandem.openapi.access import public
from tandem.openapi.caller import caller
from tandem.openapi.description import (
    Api,
    Json,
    Problem,
    answer,
    header,
    in_header,
    in_path,
    in_query,
    media,
    operation,
    problem,
    schema,
)

__all__ = [
    "Api",
    "Json",
    "Problem",
    "answer",
    "caller",
    "header",
    "in_header",
    "in_path",
    "in_query",
    "media",
    "operation",
    "problem",
    "public",
    "schema",
]
