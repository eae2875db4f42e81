"""A translated part of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """A problem of one part of a finished translation.

    kind: its name, such as `placeholders`. detail: a sentence. kept: whether the result contains the part's source or
    the model's doubtful answer.
    """

    kind: str
    detail: str
    kept: Literal["source", "answer"]


@dataclass(frozen=True)
class Part:
    """A finished chunk: its translation, its problems, and a digest of its source.

    The digest identifies parts that were stored before an upgrade changed how texts are split.
    """

    text: str
    problems: tuple[Problem, ...] = ()
    of: str = ""
