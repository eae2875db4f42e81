"""Uploaded and downloaded files: their names, formats and encodings."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from app.translation.http import encodings
from app.translation.request import Format, NotAllowed, TranslationRequest, check

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage, MultiDict

MAX_NAME = 120
#: Maximum parts of a form, and maximum bytes of each field except the file: glossaries are the longest.
MAX_PARTS = 20
MAX_FIELD_BYTES = 3_000_000
#: The names of these fields.
FORM_FIELDS = sorted(set(TranslationRequest.model_fields) - {"text"})

#: The content type of each format.
TYPES: Mapping[Format, str] = {
    "text": "text/plain; charset=utf-8",
    "markdown": "text/markdown; charset=utf-8",
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
    "json": "application/json",
    "po": "text/x-gettext-translation; charset=utf-8",
    "properties": "text/x-java-properties; charset=utf-8",
    "strings": "text/x-apple-strings; charset=utf-8",
}
_ENDINGS: Mapping[str, Format] = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".srt": "srt",
    ".vtt": "vtt",
    ".json": "json",
    ".po": "po",
    ".pot": "po",
    ".properties": "properties",
    ".strings": "strings",
}
_SENT_TYPES: Mapping[str, Format] = {
    **{type_.partition(";")[0]: format for format, type_ in TYPES.items()},
    "text/x-markdown": "markdown",
    "text/x-po": "po",
    "text/x-pot": "po",
    "application/x-gettext": "po",
    "text/srt": "srt",
    "application/srt": "srt",
}
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}")


def read_form(
    form: MultiDict[str, str], files: MultiDict[str, FileStorage], *, max_chars: int
) -> tuple[TranslationRequest, str | None]:
    """Read the request of a multipart form, and the file's name. Raises TooLong (over `max_chars`) or NotAllowed."""
    file = _only_file(files)
    name = clean_name(file.filename or "")
    fields: dict[str, Any] = {}
    for field, values in form.lists():
        if field not in FORM_FIELDS:
            raise NotAllowed(f"{field[:40]} is not a known field: expected file and {', '.join(FORM_FIELDS)}")
        if len(values) > 1:
            raise NotAllowed(f"{field} occurs {len(values):,} times: expected once")
        # Browsers also send empty fields.
        if values[0]:
            fields[field] = _object(field, values[0]) if field == "glossary" else values[0]
    if "format" not in fields:
        fields["format"] = format_of(name, file.mimetype)
    fields["text"] = decode(file.stream.read())
    return check(fields, max_chars=max_chars), name


def decode(data: bytes) -> str:
    """Decode a file in UTF-8 with or without a byte order mark, or in UTF-16 or UTF-32 with one. Raises NotAllowed."""
    encoding = encodings.from_mark(data)
    if unsupported := encodings.unsupported(data):
        raise NotAllowed(f"the file is {unsupported}: save it as text in UTF-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotAllowed(
            f"the file is not valid {encoding.upper()} (byte {error.start + 1:,} is invalid); it may be in "
            f"{encodings.guess(data)}: save it as UTF-8"
        ) from None
    if not text.strip("\ufeff").strip():
        raise NotAllowed("the file is blank: expected a file with a text to translate")
    return text


def clean_name(name: str) -> str | None:
    """Remove folders and control characters from a name and shorten it; None if nothing is left."""
    last = re.split(r"[/\\]", name[-10 * MAX_NAME :])[-1]
    visible = "".join(char for char in last if not unicodedata.category(char).startswith("C"))
    path = PurePosixPath(" ".join(visible.split()).strip(". "))
    ending = path.suffix if _ENDING.fullmatch(path.suffix) else ""
    return path.name.removesuffix(ending)[: MAX_NAME - len(ending)] + ending or None


def format_of(name: str | None, content_type: str = "") -> Format:
    """Return the format by the file's name, or else by its content type. Raises NotAllowed."""
    ending = PurePosixPath(name or "").suffix.lower()
    found = _ENDINGS.get(ending) or _SENT_TYPES.get(content_type)
    if found is None:
        raise NotAllowed(
            f"the format of the file is unknown: expected a name ending in {', '.join(_ENDINGS)}, or the field format"
        )
    return found


def source_name(name: str | None, id: str, format: str) -> str:
    """Return the file name of a translation's source."""
    return name or f"translation-{id[:8]}{_ending(format)}"


def result_name(name: str | None, id: str, format: str, *, source: str | None, target: str) -> str:
    """Return the file name of a translation's result: guide.es.md for guide.md and for guide.en.md."""
    path = PurePosixPath(source_name(name, id, format))
    ending = path.suffix or _ending(format)
    stem = path.stem.removesuffix(f".{source}") if source else path.stem
    return f"{stem or path.stem}.{target}{ending}"


def disposition(name: str) -> str:
    """Return the header Content-Disposition (RFC 6266) to save a file under this name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'["\\%]', "_", plain)
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"


def _ending(format: str) -> str:
    return next(ending for ending, known in _ENDINGS.items() if known == format)


def _only_file(files: MultiDict[str, FileStorage]) -> FileStorage:
    found = [(field, file) for field, file in files.items(multi=True)]
    if [field for field, _ in found] != ["file"]:
        raise NotAllowed("the form must have exactly one file, in the field file")
    return found[0][1]


def _object(field: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}: {error.msg}"
        raise NotAllowed(f"{field} must be a JSON object, such as {{}} ({place})") from None
    except (ValueError, RecursionError):
        raise NotAllowed(f"{field} must be a JSON object, such as {{}}") from None
