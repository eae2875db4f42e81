"""Files that people send and get back: their names, formats and encodings."""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from app.translation.request import Format, NotAllowed, TranslationRequest, check

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage, MultiDict

MAX_NAME = 120
#: How many parts a form may have, and how long each field beside the file may be: glossaries are the longest.
MAX_PARTS = 20
MAX_FIELD_BYTES = 3_000_000
#: What they are called.
FORM_FIELDS = sorted(set(TranslationRequest.model_fields) - {"text"})

#: The content type of each format.
TYPES: Mapping[Format, str] = {
    "text": "text/plain; charset=utf-8",
    "markdown": "text/markdown; charset=utf-8",
    "srt": "application/x-subrip",
    "json": "application/json",
}
_ENDINGS: Mapping[str, Format] = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".srt": "srt",
    ".json": "json",
}
_SENT_TYPES: Mapping[str, Format] = {
    **{type_.partition(";")[0]: format for format, type_ in TYPES.items()},
    "text/x-markdown": "markdown",
    "text/srt": "srt",
    "application/srt": "srt",
}
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_form(
    form: MultiDict[str, str], files: MultiDict[str, FileStorage], *, max_chars: int
) -> tuple[TranslationRequest, str | None]:
    """What a multipart form asks for, and the file's name. Raises TooLong (over `max_chars`) or NotAllowed."""
    file = _only_file(files)
    name = clean_name(file.filename or "")
    fields: dict[str, Any] = {}
    for field, values in form.lists():
        if field not in FORM_FIELDS:
            raise NotAllowed(f"{field[:40]} is not a known field beside a file: {', '.join(FORM_FIELDS)} are")
        if len(values) > 1:
            raise NotAllowed(f"{field} is given {len(values):,} times: give it once")
        # Browsers send the fields that nobody filled in as well.
        if values[0]:
            fields[field] = _object(field, values[0]) if field == "glossary" else values[0]
    if "format" not in fields:
        fields["format"] = format_of(name, file.mimetype)
    fields["text"] = decode(file.stream.read())
    return check(fields, max_chars=max_chars), name


def decode(data: bytes) -> str:
    """The text of a file in UTF-8, its byte order mark included, or in UTF-16 with one. Raises NotAllowed."""
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotAllowed(
            f"the file is no text in UTF-8 (byte {error.start + 1:,} cannot be read): save it as UTF-8, or as UTF-16 "
            "with a byte order mark"
        ) from None
    if not text.strip("\ufeff").strip():
        raise NotAllowed("the file is blank: send one with a text that is to be translated")
    return text


def clean_name(name: str) -> str | None:
    """The name without folders, control characters and what is too much of it; None when nothing is left."""
    last = re.split(r"[/\\]", name[-10 * MAX_NAME :])[-1]
    visible = "".join(sign for sign in last if not unicodedata.category(sign).startswith("C"))
    path = PurePosixPath(" ".join(visible.split()).strip(". "))
    ending = path.suffix if _ENDING.fullmatch(path.suffix) else ""
    return path.name.removesuffix(ending)[: MAX_NAME - len(ending)] + ending or None


def format_of(name: str | None, content_type: str = "") -> Format:
    """The format that a file's name or else its content type tells. Raises NotAllowed."""
    ending = PurePosixPath(name or "").suffix.lower()
    found = _ENDINGS.get(ending) or _SENT_TYPES.get(content_type)
    if found is None:
        raise NotAllowed(
            f"the format of the file is not known from its name: let it end in {', '.join(_ENDINGS)}, or give format"
        )
    return found


def source_name(name: str | None, id: str, format: str) -> str:
    """What the source of a translation is called as a file."""
    return name or f"translation-{id[:8]}{_ending(format)}"


def result_name(name: str | None, id: str, format: str, *, source: str | None, target: str) -> str:
    """What a translation is called as a file: guide.es.md for guide.md, and for guide.en.md as well."""
    path = PurePosixPath(source_name(name, id, format))
    ending = path.suffix or _ending(format)
    stem = path.stem.removesuffix(f".{source}") if source else path.stem
    return f"{stem or path.stem}.{target}{ending}"


def disposition(name: str) -> str:
    """The header Content-Disposition (RFC 6266) of a file that is to be saved under this name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'["\\%]', "_", plain)
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"


def _ending(format: str) -> str:
    return next(ending for ending, known in _ENDINGS.items() if known == format)


def _only_file(files: MultiDict[str, FileStorage]) -> FileStorage:
    found = [(field, file) for field, file in files.items(multi=True)]
    if [field for field, _ in found] != ["file"]:
        raise NotAllowed("the form must have exactly one file, as the field file")
    return found[0][1]


def _object(field: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotAllowed(f"{field} must be a JSON object, such as {{}}") from None
