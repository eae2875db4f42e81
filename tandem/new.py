"""Makes a new project from the skeleton: `new my-service` in the image, or bin/new in a clone.

The skeleton is a template for copier (https://copier.readthedocs.io), which brings its later changes into a project:
`copier update`. It uses nothing but `{{ name }}`, `{{ tandem_version }}` and `{% if sql %}`, also in names of files and
folders, so that it can be filled in without copier, which the image does not have.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
from jinja2 import Environment, StrictUndefined

SKELETON = Path(__file__).parent / "skeleton"
#: Where `docker run -v "$PWD:/out"` has the folder of the host.
MOUNTED = Path("/out")
SUFFIX = ".jinja"
RESERVED = "tandem"
ANSWERS = ".copier-answers.yml"
Answers = dict[str, str | bool]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")
_UPPERMOST = "# Written by copier; needed for `copier update`.\n"


def files(answers: Answers) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file of a project."""
    # Not HTML, so nothing is escaped.
    jinja = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701

    def filled(text: str) -> str:
        return jinja.from_string(text).render(answers)

    for path in sorted(SKELETON.rglob("*")):
        # The file with copier's answers is copier's, see `write`.
        if path.is_file() and "_copier_conf" not in path.name:
            text, inside = path.read_text(), path.relative_to(SKELETON)
            parts = [filled(part) for part in str(inside).removesuffix(SUFFIX).split("/")]
            # As copier does: what has no name is left out.
            if all(parts):
                yield "/".join(parts), filled(text) if inside.suffix == SUFFIX else text


def write(folder: Path, tandem_version: str, *, sql: bool = False, source: str = "", commit: str = "") -> int:
    """Write a project into a new folder, whose name is the project's; return the number of files.

    sql: with a database. source, commit: where the skeleton is from, for `copier update`. Raises click.ClickException.
    """
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise click.ClickException(
            f"{name!r} cannot be the name of a project: expected 2 to 40 lower-case letters, digits and hyphens, such "
            "as my-service"
        )
    if name == RESERVED:
        raise click.ClickException(f"{name} is the name of Tandem's own images: choose another one, such as my-service")
    if folder.is_file() or (folder.exists() and any(path.name != ".git" for path in folder.iterdir())):
        raise click.ClickException(f"{folder} is not empty: expected a new folder, or remove what is in it")
    answers: Answers = {"name": name, "sql": sql, "tandem_version": tandem_version}
    made = dict(files(answers))
    if source:
        lines = {"_commit": commit, "_src_path": source, **answers, "sql": str(sql).lower()}
        made[ANSWERS] = _UPPERMOST + "".join(f"{key}: {value}\n" for key, value in lines.items())
    try:
        for inside, text in made.items():
            path = folder / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if inside.startswith("bin/"):
                path.chmod(0o755)
    except OSError as error:
        raise click.ClickException(
            f"{folder} cannot be written: {error.strerror}; type docker run --user $(id -u):$(id -g) …"
        ) from error
    return len(made)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--sql", is_flag=True, help="With a database: a table, a migration, and PostgreSQL for compose.")
@click.option("--source", default="", help="Where the skeleton is from, for copier update.")
@click.option("--commit", default="", help="Its version there.")
@click.option("--shown", default="", hidden=True, help="The folder as the user has named it.")
def main(folder: Path, sql: bool, source: str, commit: str, shown: str) -> None:
    """Make a new project in FOLDER, whose name is the project's."""
    target = MOUNTED / folder if MOUNTED.is_dir() and not folder.is_absolute() else folder
    if target is not folder and target.resolve().parent != MOUNTED:
        raise click.ClickException(f"{folder} is not a name: in the image, expected that of a new folder in {MOUNTED}")
    count = write(target, version("tandem"), sql=sql, source=source, commit=commit)
    click.echo(f"made {shown or folder} with {count} files")
    click.echo(f"next: cd {shown or folder} && docker compose up --build --detach --wait")


if __name__ == "__main__":
    sys.exit(main())
