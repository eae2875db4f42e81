"""Files of each format through the real image and the offline model: only their words change."""

from __future__ import annotations

import re
from typing import Any

from app.translation.documents.placeholders import protect
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from app.translation.tests.paths import DATA

PLACEHOLDERS = DATA / "placeholders.txt"

MARKDOWN = """\
---
title: The guide
---
# The *big* house ##

The house is beautiful. Read [the guide](https://example.com/guide "More") and
run `make house` before {name} comes.

> The garden is small.

```sh
echo "The house"
```

| The house | The garden |
|-----------|:----------:|
| big       | small      |

[ref]: https://example.com
"""
SRT = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>The house is beautiful.</i>\r\n- The garden is small.\r\n\r\n"
    "2\r\n00:00:03,000 --> 00:00:04,000\r\nGood morning.\r\n"
)
JSON = '{"title": "The house is \\"beautiful\\"",\n  "n": 1.50, "title": ["Good morning, {name}.", null, "42"]}\n'
TEXT = "  The house is beautiful.\r\n\r\n```\r\nx = 'The house'\r\n```\r\nThe house ........... 12\r\nbig\tsmall\r\n"


def translated(tandem: Tandem, name: str, data: str, *, seconds: float = 60) -> tuple[str, Any]:
    """Return the result of a file, and its response."""
    sent = tandem.request(
        "POST", "/translations", files={"file": (name, data.encode())}, data={"source": "en", "target": "es"}
    )
    assert sent.status_code == 202, sent.text
    ended = tandem.ended(sent.json()["id"], seconds=seconds)
    assert (ended["status"], ended["problems"]) == ("done", []), ended
    assert tandem.request("GET", f"{sent.headers['Location']}/source").content == data.encode()
    answer = tandem.request("GET", f"{sent.headers['Location']}/result")
    assert answer.status_code == 200
    return answer.content.decode(), answer


def test_text_keeps_its_layout_and_code(app: Tandem) -> None:
    result, answer = translated(app, "house.txt", TEXT)

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert result == (
        "  La casa es bella.\r\n\r\n```\r\nx = 'The house'\r\n```\r\nLa casa ........... 12\r\ngrande\tpequeño\r\n"
    )


def test_markdown_keeps_everything_but_prose(app: Tandem) -> None:
    result, answer = translated(app, "guide.en.md", MARKDOWN)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="guide.es.md"'
    before, after = MARKDOWN.splitlines(), result.splitlines()
    assert len(after) == len(before)
    kept = [line for line in before if not re.search("house|garden|big|run", line) or "echo" in line]
    assert [line for line in after if line in kept] == kept
    for part in (
        '](https://example.com/guide "More")',
        "`make house`",
        "{name}",
        "> El jardín es pequeño.",
        "| La casa ",
    ):
        assert part in result


def test_subtitles_keep_numbers_times_and_tags(app: Tandem) -> None:
    result, answer = translated(app, "film.srt", SRT)

    assert answer.headers["Content-Type"] == "application/x-subrip"
    assert result == SRT.replace("The house is beautiful.", "La casa es bella.").replace(
        "The garden is small.", "El jardín es pequeño."
    ).replace("Good morning.", "Buenos días.")


def test_json_keeps_keys_numbers_and_white_space(app: Tandem) -> None:
    result, answer = translated(app, "texts.json", JSON)

    assert answer.headers["Content-Type"] == "application/json"
    assert result == JSON.replace('The house is \\"beautiful\\"', 'La casa es \\"bella\\"').replace(
        "Good morning, {name}.", "Buenos días, {name}."
    )


def test_placeholders_of_all_kinds_survive_in_five_hundred_strings(app: Tandem) -> None:
    # The lines are sent in pages, which is much faster than one by one.
    text = PLACEHOLDERS.read_text(encoding="utf-8")
    result, _ = translated(app, "strings.txt", text, seconds=300)

    changed = 0
    for before, after in zip(text.splitlines(), result.splitlines(), strict=True):
        assert sorted(protect(after).hidden) == sorted(protect(before).hidden), (before, after)
        changed += before != after
    assert changed > 490
