"""Names and codes of languages, and a rough guess at which one a text is in."""

import re

# Names as written in a prompt; the four pairs need few, the others let a refusal name the requested language.
_NAMES = {
    "english": "en", "inglés": "en", "ingles": "en", "anglais": "en",
    "spanish": "es", "castilian": "es", "español": "es", "espanol": "es", "castellano": "es",
    "espagnol": "es",
    "french": "fr", "français": "fr", "francais": "fr", "francés": "fr", "frances": "fr",
    "arabic": "ar", "basque": "eu", "bengali": "bn", "bulgarian": "bg", "catalan": "ca", "chinese": "zh",
    "croatian": "hr", "czech": "cs", "danish": "da", "dutch": "nl", "esperanto": "eo", "estonian": "et",
    "finnish": "fi", "galician": "gl", "german": "de", "deutsch": "de", "greek": "el", "hebrew": "he",
    "hindi": "hi", "hungarian": "hu", "icelandic": "is", "indonesian": "id", "irish": "ga", "italian": "it",
    "italiano": "it", "japanese": "ja", "korean": "ko", "latin": "la", "latvian": "lv", "lithuanian": "lt",
    "malay": "ms", "norwegian": "no", "persian": "fa", "polish": "pl", "portuguese": "pt", "romanian": "ro",
    "russian": "ru", "serbian": "sr", "slovak": "sk", "slovenian": "sl", "swahili": "sw", "swedish": "sv",
    "thai": "th", "turkish": "tr", "ukrainian": "uk", "urdu": "ur", "vietnamese": "vi", "welsh": "cy",
}  # fmt: skip
_THREE_LETTERS = {"eng": "en", "spa": "es", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "ita": "it"}
_CODES = frozenset(_NAMES.values())
# "Apply this to it" names no language, so these codes count only inside brackets or after "from".
_ALSO_ENGLISH_WORDS = frozenset({"he", "hi", "id", "is", "it", "la", "no"})

_STOP_WORDS = {
    "en": "the of and to in is that for it with was on are this be not you have from but we they",
    "es": "el la los las de y que en un una es por con para no se del al lo su más como está",
    "fr": "le la les de et des que en un une est pour dans avec ne pas du au qui sur ce il vous",
}


def code_of(word: str, *, in_brackets: bool = False, sure: bool = False) -> str | None:
    """The ISO 639-1 code that ``word`` (a name or a code, any case) stands for, or None.

    in_brackets: as in ``German (de)``; then any two or three letters are taken as a code, known or not.
    sure: the place shows that a language is meant, so that a code like ``it`` is not the English word.
    """
    word = word.lower()
    code = _NAMES.get(word) or _THREE_LETTERS.get(word)
    if code or in_brackets:
        return code or word
    if word in _CODES and (sure or word not in _ALSO_ENGLISH_WORDS):
        return word
    return None


def guess(text: str) -> str | None:
    """Guess whether ``text`` is English (en), Spanish (es) or French (fr); None without a hint or on a tie.

    A plain count of each language's most frequent words: right for sentences, blind for names and numbers,
    and certain to be wrong for any other language.
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    stop_words = {language: set(line.split()) for language, line in _STOP_WORDS.items()}
    counts = {language: sum(word in stop for word in words) for language, stop in stop_words.items()}
    best = max(counts.values())
    winners = [language for language, count in counts.items() if count == best]
    return winners[0] if best and len(winners) == 1 else None
