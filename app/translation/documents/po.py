"""gettext's .po and .pot: translate each message that has no translation; everything else stays unchanged.

A message of one chunk that was not translated keeps its empty msgstr, for which programs show the source. In a
longer message, the paragraphs that were not translated are copied from the source, next to those that were.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from app.translation.documents.chunks import Builder, Chunk
from app.translation.documents.errors import Unreadable
from app.translation.documents.lines import lines_of
from app.translation.documents.messages import Pieces, pieces

_STRING = r'"((?:[^"\\\r\n]|\\[^\r\n])*+)"\s*+'
_KEYWORD = re.compile(rf"[ \t]*(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d{{1,2}})\])?)[ \t]*{_STRING}")
_MORE = re.compile(rf"[ \t]*{_STRING}")
_KEPT = re.compile(r"\s*(?:#|$)")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_WRITTEN = {"\\": "\\\\", '"': '\\"', **{char: f"\\{name}" for name, char in _ESCAPES.items()}}
_CHARSET = re.compile(r"charset=([\w.:-]{1,40})")
_ONE_FORM = re.compile(r"nplurals=1\b")
# UTF-8, ASCII (a subset of UTF-8), and the value in a template.
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii", "charset")
_MAX_EXCERPT = 40


@dataclass
class _Entry:
    """A keyword and its string. first, column: the string's first quotation mark. after: the line after the string."""

    keyword: str
    form: int
    value: str
    first: int
    column: int
    after: int


@dataclass
class _Message:
    """The message being read, and what the file's header says."""

    id: str = ""
    plural: str = ""
    has_one_form: bool = False
    forms: set[int] = field(default_factory=set)
    _found: dict[str, Pieces] = field(default_factory=dict)

    def pieces(self, entry: _Entry, build: Builder) -> Pieces:
        """Return the chunks of this form's source; forms with the same source share them, so it is split once."""
        is_singular = not self.plural or (entry.form == 0 and not self.has_one_form)
        source = self.id if is_singular else self.plural
        if source not in self._found:
            self._found[source] = pieces(source, build)
        return self._found[source]


def read(text: str, build: Builder) -> None:
    """Add each message without a translation, once for each plural form. Raises Unreadable, with the line."""
    lines = lines_of(text)
    message = _Message()
    at = 0
    for entry in _entries(lines):
        if entry.keyword == "msgid":
            message = _Message(entry.value, has_one_form=message.has_one_form)
        elif entry.keyword == "msgid_plural":
            message.plural = entry.value
        elif entry.keyword == "msgstr" and not message.id:
            _check_header(entry)
            message.has_one_form = bool(_ONE_FORM.search(entry.value))
        elif entry.keyword == "msgstr":
            _check_form(message, entry)
            _keep(lines, at, entry.first, build)
            _add(message, entry, lines, build)
            at = entry.after
    _keep(lines, at, len(lines), build)


def _entries(lines: list[str]) -> Iterator[_Entry]:
    entry: _Entry | None = None
    values: list[str] = []
    for number, line in enumerate([*lines, ""]):
        keyword = _KEYWORD.fullmatch(line)
        more = None if keyword or entry is None else _MORE.fullmatch(line)
        if more and entry:
            values.append(more[1])
            entry.after = number + 1
            continue
        if entry:
            entry.value = _unescaped("".join(values))
            yield entry
            entry = None
        if keyword:
            values = [keyword[3]]
            name, form = keyword[1].partition("[")[0], int(keyword[2] or 0)
            entry = _Entry(name, form, "", number, keyword.start(3) - 1, number + 1)
        elif not _KEPT.match(line):
            raise Unreadable(
                f"line {number + 1} of the PO file is {line.strip()[:_MAX_EXCERPT]!r}: expected a comment, msgid, "
                'msgstr or a string such as "Hello"'
            )


def _keep(lines: list[str], begin: int, end: int, build: Builder) -> None:
    for line in lines[begin:end]:
        build.keep(line, "comment" if line.startswith("#") else None)


def _check_header(entry: _Entry) -> None:
    charset = _CHARSET.search(entry.value)
    if charset and charset[1].lower() not in _CHARSETS:
        raise Unreadable(
            f"the header of the PO file says charset={charset[1]}, but the result would be UTF-8: convert the file "
            "first, for example with `msgconv -t UTF-8`"
        )


def _check_form(message: _Message, entry: _Entry) -> None:
    # Each repetition would translate the whole source again.
    if entry.form in message.forms:
        raise Unreadable(
            f"line {entry.first + 1} of the PO file repeats a msgstr of the message above: expected one msgstr for a "
            "msgid, or one for each plural form"
        )
    message.forms.add(entry.form)


def _add(message: _Message, entry: _Entry, lines: list[str], build: Builder) -> None:
    raw = "".join(lines[entry.first : entry.after])
    if entry.value:
        build.keep(raw, "translated")
        return
    found = message.pieces(entry, build)
    if not found.chunks:
        build.keep(raw)
        return
    body = raw.rstrip()
    end = raw[len(body) :]
    build.keep(raw[: entry.column])
    if len(found.chunks) == 1:
        build.put(found.chunks[0].text, body[entry.column :], _writer(found.chunks[0], found.tail, end or "\n"))
    else:
        _add_long(found.chunks, found.tail, build)
    build.keep(end)


def _writer(chunk: Chunk, tail: str, line_end: str) -> Callable[[str], str]:
    return lambda translated: _quoted(chunk.before + chunk.write(translated) + tail, line_end)


def _add_long(chunks: Sequence[Chunk], tail: str, build: Builder) -> None:
    build.keep('"')
    for chunk in chunks:
        build.keep(_escaped(chunk.before))
        build.put(chunk.text, _escaped(chunk.source), _long_writer(chunk))
    build.keep(_escaped(tail) + '"')


def _long_writer(chunk: Chunk) -> Callable[[str], str]:
    return lambda translated: _escaped(chunk.write(translated))


def _quoted(value: str, line_end: str) -> str:
    """Quote a string as gettext does: a string of several lines begins with an empty one."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", value)
    quoted = [f'"{_escaped(line)}"' for line in lines]
    return line_end.join(['""', *quoted] if len(lines) > 1 else quoted)


def _escaped(value: str) -> str:
    return "".join(_WRITTEN.get(char, char) for char in value)


def _unescaped(value: str) -> str:
    def char(match: re.Match[str]) -> str:
        if match[1] or match[2]:
            return chr(int(match[1], 8) if match[1] else int(match[2], 16))
        return _ESCAPES.get(match[3], match[3])

    return _ESCAPE.sub(char, value)
