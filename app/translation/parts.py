"""A part of a text as it came back from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """What is wrong with one part of a finished translation.

    kind: its name, such as `placeholders`. detail: a sentence. kept: whether the part's source or the model's doubtful
    answer stands in the result.
    """

    kind: str
    detail: str
    kept: Literal["source", "answer"]


@dataclass(frozen=True)
class Part:
    """A finished chunk: its translation, what is wrong with it, and a digest of what was translated.

    By the digest a part is known that was stored before an upgrade changed how texts are cut.
    """

    text: str
    problems: tuple[Problem, ...] = ()
    of: str = ""
