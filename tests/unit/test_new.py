"""A new project: a dozen small files in its own name, which copier keeps up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tandem import new
from tests.paths import ROOT

FILES = {
    *(".dockerignore", ".env.example", ".github/workflows/ci.yaml", ".gitignore", "Dockerfile", "README.md"),
    *(
        "app/__init__.py",
        "app/greetings.py",
        "bin/dev",
        "bin/test",
        "compose.debug.yaml",
        "compose.yaml",
        "pyproject.toml",
        "requirements.txt",
    ),
    *(
        ".devcontainer/devcontainer.json",
        ".vscode/launch.json",
        "compose.dev.yaml",
        "tests/conftest.py",
        "tests/integration/test_image.py",
        "tests/unit/test_greetings.py",
    ),
}
#: What a project with a database has besides.
SQL_FILES = FILES | {
    *("app/migrations/0001_greetings.py", "app/models.py", "bin/revision", "compose.postgres.yaml"),
    "tests/integration/test_postgres.py",
}
VARIANTS = pytest.mark.parametrize(
    ("options", "expected"), [((), FILES), (("--sql",), SQL_FILES)], ids=["plain", "sql"]
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(new.main, arguments)


def sh(*command: str, folder: Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def made(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@VARIANTS
def test_a_project_has_its_name_in_every_place(tmp_path: Path, options: tuple[str, ...], expected: set[str]) -> None:
    folder = tmp_path / "my-service"
    assert run(str(folder), *options).exit_code == 0
    assert made(folder) == expected
    texts = {name: (folder / name).read_text() for name in expected}
    assert texts["compose.yaml"].startswith("name: my-service\n")
    assert "ENV APP_NAME=my-service\n" in texts["Dockerfile"]
    assert not [name for name, text in texts.items() if "{{" in text or "{%" in text]
    assert all(path.stat().st_mode & 0o111 for path in (folder / "bin").iterdir())


def test_a_project_without_a_database_knows_nothing_of_one(tmp_path: Path) -> None:
    folder = tmp_path / "my-service"
    run(str(folder))
    words = re.compile("sql|database|postgres|alembic|migration", re.IGNORECASE)
    assert not [name for name in FILES if words.search((folder / name).read_text())]


def test_a_database_comes_with_the_versions_that_tandem_is_tested_with(tmp_path: Path) -> None:
    run(str(tmp_path / "my-service"), "--sql")
    wanted = [line for line in (tmp_path / "my-service/requirements.txt").read_text().splitlines() if line[0] != "#"]
    assert [line.partition("==")[0] for line in wanted] == ["alembic", "psycopg[binary]", "sqlalchemy"]
    locked = (ROOT / "requirements-dev.lock").read_text()
    assert not [line for line in wanted if f"\n{line.replace('[binary]', '')} " not in locked]


def test_postgresql_does_not_start_without_a_password(tmp_path: Path) -> None:
    run(str(tmp_path / "my-service"), "--sql")
    compose = (tmp_path / "my-service/compose.postgres.yaml").read_text()
    passwords = re.findall(r"\$\{POSTGRES_PASSWORD.*?\}", compose)
    assert passwords == ["${POSTGRES_PASSWORD:?see .env.example}"] * 2


@pytest.mark.parametrize("name", ["My-Service", "a", "1st", "my_service", "x" * 41, "my-service-"])
def test_a_name_that_no_image_can_have_is_refused(tmp_path: Path, name: str) -> None:
    ended = run(str(tmp_path / name))
    assert ended.exit_code == 1
    assert "cannot be the name of a project: expected 2 to 40 lower-case letters" in ended.output
    assert not (tmp_path / name).exists()


def test_an_empty_clone_is_filled_and_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my-service" / ".git").mkdir(parents=True)
    assert run(str(tmp_path / "my-service")).exit_code == 0
    (tmp_path / "in-the-way").write_text("mine")
    assert "is not empty: expected a new folder" in run(str(tmp_path / "in-the-way")).output
    assert "is the name of Tandem's own images" in run(str(tmp_path / "tandem")).output


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my-service").mkdir()
    (tmp_path / "my-service/notes.txt").write_text("mine")
    ended = run(str(tmp_path / "my-service"))
    assert "is not empty: expected a new folder" in ended.output
    assert made(tmp_path) == {"my-service/notes.txt"}


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--sql",)], ids=["plain", "sql"])
def test_its_code_passes_the_linter_and_its_unit_tests(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = tmp_path / "my-service"
    run(str(folder), *options)
    sh(sys.executable, "-m", "ruff", "check", ".", folder=folder)
    sh(sys.executable, "-m", "ruff", "format", "--check", ".", folder=folder)
    output = sh(
        *("env", "-i", f"PATH={Path(sys.executable).parent}:/usr/bin:/bin", f"PYTHONPATH={ROOT}/.none:{folder}"),
        *(sys.executable, "-c", _PYTEST.format(root=str(ROOT))),
        folder=folder,
    )
    assert "3 passed" in output


@pytest.mark.slow
def test_a_migration_is_written_for_what_has_changed_in_the_tables(tmp_path: Path) -> None:
    folder = tmp_path / "my-service"
    run(str(folder), "--sql")
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    models = (folder / "app/models.py").read_text()
    (folder / "app/models.py").write_text(models + "    language: Mapped[str | None] = mapped_column(String(2))\n")

    output = sh("env", "-u", "TANDEM_APP", "bin/revision", "greetings have a language", folder=folder)

    assert "0002_greetings_have_a_language.py; next: read it, then queue db upgrade" in output
    written = (folder / "app/migrations/0002_greetings_have_a_language.py").read_text()
    assert 'add_column(sa.Column("language"' in written.replace("'", '"')
    assert "text" not in written.replace("context", ""), "what has not changed"


#: The application of this repository is called app as well: the project's has to be found first.
_PYTEST = """
import sys
sys.path.append({root!r})
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/unit"]))
"""


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """The template as copier finds it: a repository with a tag."""
    folder = tmp_path / "tandem"
    (folder / "tandem").mkdir(parents=True)
    sh("cp", "-r", str(ROOT / "tandem/skeleton"), "tandem/", folder=folder)
    sh("cp", str(ROOT / "copier.yml"), ".", folder=folder)
    sh("git", "init", "--quiet", "--initial-branch=main", folder=folder)
    commit(folder, "v0.1.0")
    return folder


def commit(folder: Path, tag: str = "") -> None:
    sh("git", "add", "--all", folder=folder)
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    sh("git", *identity, "commit", "--quiet", "--message", tag or "mine", folder=folder)
    if tag:
        sh("git", "tag", tag, folder=folder)


@pytest.mark.slow
@VARIANTS
def test_copier_makes_the_same_project_and_updates_it_without_a_conflict(
    tmp_path: Path, skeleton: Path, options: tuple[str, ...], expected: set[str]
) -> None:
    folder = tmp_path / "my-service"
    assert run(str(folder), *options, "--source", str(skeleton), "--commit", "v0.1.0").exit_code == 0
    copier = (sys.executable, "-m", "copier")
    data = ("--data", "name=my-service", "--data", f"sql={'--sql' in options}")
    sh(*copier, "copy", "--quiet", "--defaults", *data, str(skeleton), "theirs", folder=tmp_path)
    assert made(folder) == made(tmp_path / "theirs") == {*expected, new.ANSWERS}
    for name in expected:
        assert (folder / name).read_text() == (tmp_path / "theirs" / name).read_text(), name
        assert (folder / name).stat().st_mode == (tmp_path / "theirs" / name).stat().st_mode, name

    sh("git", "init", "--quiet", folder=folder)
    (folder / "app/__init__.py").write_text('workloads = ("app.greetings", "app.invoices")\n')
    commit(folder)
    for name, text in {"compose.yaml.jinja": "# later\n", "Dockerfile.jinja": "# later\n"}.items():
        with (skeleton / "tandem/skeleton" / name).open("a") as file:
            file.write(text)
    commit(skeleton, "v0.2.0")
    sh(*copier, "update", "--quiet", "--defaults", folder=folder)

    assert (folder / "compose.yaml").read_text().endswith("# later\n")
    assert (folder / "Dockerfile").read_text().endswith("# later\n")
    assert (folder / "app/__init__.py").read_text() == 'workloads = ("app.greetings", "app.invoices")\n'
    answers = (folder / new.ANSWERS).read_text()
    assert "_commit: v0.2.0" in answers
    assert f"sql: {str('--sql' in options).lower()}" in answers
    assert not [name for name in made(folder) if name.endswith(".rej")]
