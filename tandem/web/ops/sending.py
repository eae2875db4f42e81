"""The form with which a message is sent: one field for each parameter of the actor."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dramatiq

from tandem.broker import store
from tandem.broker.unique import DuplicateMessage
from tandem.operate import arguments
from tandem.support import durations
from tandem.web.ops.actions import Done, Refused

MAX_DELAY = timedelta(milliseconds=store.MAX_DELAY_MS)
_PREFIX = "argument-"


@dataclass(frozen=True)
class Field:
    """A parameter. kind: text for a str, which is taken as it is typed, and json for anything else."""

    name: str
    kind: str
    about: str
    required: bool
    default: str

    @property
    def id(self) -> str:
        """The name of the field in the form."""
        return _PREFIX + self.name


def fields(actor: dramatiq.Actor[..., Any]) -> list[Field] | None:
    """Return a field for each parameter; None if the actor takes any arguments, which are then one list or object."""
    parameters = list(arguments.signature(actor.fn).parameters.values())
    if any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY) for one in parameters):
        return None
    return list(map(_field, parameters))


def _field(parameter: inspect.Parameter) -> Field:
    annotation = parameter.annotation
    is_text = annotation is str or annotation == "str"
    required = parameter.default is parameter.empty
    shown = "" if annotation is parameter.empty else inspect.formatannotation(annotation)
    default = "" if required else parameter.default if is_text else _as_json(parameter.default)
    return Field(parameter.name, "text" if is_text else "json", shown or "any JSON", required, str(default))


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return ""


def send(actor: dramatiq.Actor[..., Any], form: Mapping[str, str]) -> Done:
    """Send the message of a form. Raises Refused with what is wrong, and nothing is sent."""
    try:
        args, kwargs = _arguments(actor, form)
        arguments.check(actor.fn, args, kwargs)
    except arguments.InvalidArguments as error:
        raise Refused(f"Nothing was sent: {error}.", 422) from error
    try:
        sent = actor.send_with_options(args=tuple(args), kwargs=kwargs, delay=_delay(form.get("delay", "")))
    except (DuplicateMessage, ValueError) as error:
        raise Refused(f"Nothing was sent: {error}.", 422) from error
    return Done(f"Sent {sent.message_id} to {actor.queue_name}.", f"{actor.actor_name} {sent.message_id}")


def _arguments(actor: dramatiq.Actor[..., Any], form: Mapping[str, str]) -> tuple[list[Any], dict[str, Any]]:
    declared = fields(actor)
    if declared is None:
        return arguments.parse(form.get("arguments", "").strip() or "[]")
    return [], dict(_values(declared, form))


def _values(declared: list[Field], form: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for one in declared:
        text = form.get(one.id, "")
        if one.kind == "text":
            # An empty text is one as well, if there was a field for it.
            if text or (one.required and one.id in form):
                yield one.name, text
        elif text.strip():
            try:
                ((value,), _) = arguments.parse(f"[{text}]")
            except (arguments.InvalidArguments, ValueError) as error:
                raise arguments.InvalidArguments(f"{one.name}: {text[:60]} is not JSON") from error
            yield one.name, value


def _delay(text: str) -> timedelta | None:
    if not text.strip():
        return None
    delay = durations.parse(text.strip())
    if delay is None or delay > MAX_DELAY:
        raise Refused(f"Nothing was sent: the delay {text[:40]} is invalid; expected {durations.EXPECTED}.", 422)
    return delay
