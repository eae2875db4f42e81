"""Hooks of mkdocs: give the site the layout of the repository, so that a relative link works in both."""

from __future__ import annotations

import re
from os.path import normpath
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / "docs" / "README.md"
DOCUMENTS = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md")]
_LINK = r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^()\s]+)\)"
_CODE_OR_LINK = re.compile(rf"^ *(```+|~~~+).*?^ *\1 *$|(`+)(?!`).*?(?<!`)\2(?!`)|{_LINK}", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> None:
    """Derive the navigation from the indexes, and leave out the page that only a server would show."""
    config.nav = navigation()
    config.theme.static_templates.discard("404.html")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Put the documentation of the repository and of its workloads in the place of the files of docs/."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    folders = [ROOT / "docs", *sorted(ROOT.glob("app/*/docs"))]
    for path in [*DOCUMENTS, *(path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())]:
        files.append(File(_uri(path), str(ROOT), config.site_dir, config.use_directory_urls))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace links to what is not in the site: other files of the repository, and workloads that were removed."""
    folder = page.file.src_uri.rpartition("/")[0]

    def replaced(match: re.Match[str]) -> str:
        target = (match["target"] or "#").partition("#")[0]
        uri = normpath(f"{folder}/{target}".lstrip("/"))
        removed = uri.startswith("app/") and not Path(ROOT, *uri.split("/")[:2]).exists()
        if not target or ":" in target or files.get_file_from_path(uri) or not (removed or (ROOT / uri).exists()):
            return match[0]
        address = config.extra.get("repository")
        return f"[{match['text']}]({address}/blob/HEAD/{uri})" if address and not removed else match["text"]

    return _CODE_OR_LINK.sub(replaced, markdown)


def navigation() -> list[Any]:
    """Return the shelves that docs/README.md lists, each with its groups, and the documentation of the workloads."""
    shelves: list[Any] = [{"Tandem": ["README.md", {"All pages": _uri(INDEX)}]}]
    for shelf in re.split(r"^## ", INDEX.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, body = shelf.partition("\n")
        ungrouped, *groups = re.split(r"^(\w[^\n]*):\n", body, flags=re.MULTILINE)
        grouped = [{name: _linked(text, INDEX)} for name, text in zip(groups[::2], groups[1::2], strict=True)]
        shelves.append({title: _linked(ungrouped, INDEX) + grouped})
    workloads = [_section(index) for index in sorted(ROOT.glob("app/*/docs/README.md"))]
    changes = [{"Security": "SECURITY.md"}, {"Changelog": "CHANGELOG.md"}]
    return [*shelves, *([{"Workloads": workloads}] if workloads else []), {"Project": changes}]


def _section(index: Path, title: str = "") -> dict[str, Any]:
    text = index.read_text(encoding="utf-8")
    return {title or text.partition("\n")[0].lstrip("# "): [_uri(index), *_linked(text, index)]}


def _linked(text: str, index: Path) -> list[Any]:
    """Return the pages that a part of an index links in its own folder; an index among them becomes a section."""
    links = [(link["text"].replace("`", ""), index.parent / link["target"]) for link in re.finditer(_LINK, text)]
    pages = [(title, path) for title, path in links if path.suffix == ".md" and ".." not in path.parts]
    return [_section(path, title) if path.name == "README.md" else {title: _uri(path)} for title, path in pages]


def _uri(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
