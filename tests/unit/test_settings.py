"""Settings: what cannot be used is told in one line that names the variable, the value and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import OTHER_GROUPS_SECONDS, Settings, SettingsError, is_secret, masked, parse_size, read, show_size

ROOT = Path(__file__).parents[2]
DEDICATED = "QUEUE=COUNT with commas between them, each queue once, each count from 1 to 64, or empty for none"


def test_without_variables_every_setting_has_its_default() -> None:
    assert read({}) == Settings()
    assert Settings().redis_dsn == "unix:///run/tandem/redis.sock"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read({"WORKERS": "", "REDIS_URL": "", "REDIS_URL_FILE": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("WORKERS", "0", "a whole number from 1 to 64"),
        ("WORKERS", "many", "a whole number from 1 to 64"),
        ("WORKERS", "2.5", "a whole number from 1 to 64"),
        ("RETRY_MULTIPLIER", "nan", "a number from 1 to 100"),
        ("RETRY_MULTIPLIER", "0.5", "a number from 1 to 100"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("OLLAMA_URL", "model:11434", "http://HOST[:PORT] or https://HOST[:PORT]"),
        ("OLLAMA_URL", "http://model:notaport", "http://HOST[:PORT] or https://HOST[:PORT]"),
        ("OLLAMA_URL", "http://[::1", "http://HOST[:PORT] or https://HOST[:PORT]"),
        ("OLLAMA_URL", "http://model:99999", "http://HOST[:PORT] or https://HOST[:PORT]"),
        ("OLLAMA_MODEL", "../x", "a model's name as Ollama lists it"),
        ("WORKER_MEMORY_LIMIT", "3x", "a whole number of bytes, or one with K, M or G such as 256M"),
        ("OLLAMA_URL", "http://", "http://HOST[:PORT] or https://HOST[:PORT]"),
        ("PROGRAMS", "web,database", "names out of redis, web, worker, monitor, events, with commas between them"),
        ("PROGRAMS", ",", "names out of redis, web, worker, monitor, events, with commas between them"),
        ("WORKER_QUEUES", "a b", "names of queues, with commas between them, or empty for all"),
        *(
            ("WORKER_DEDICATED", value, DEDICATED)
            for value in ("a", "a=", "=1", "a=0", "a=65", "a=1,a=2", "a=1=2", "a=x")
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_told_in_one_line(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as error:
        read({name: value})

    assert error.value.lines == [f"{name}={value} cannot be used: allowed is {allowed}"]


def test_every_bad_value_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        read({"WORKERS": "0", "WEB_THREADS": "x"})

    assert [line.split("=")[0] for line in error.value.lines] == ["WEB_THREADS", "WORKERS"]


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@redis",
        "redis://:hun#ter2@host:6379/0",
        "redis://:hunter2@host:port/0",
        "redis://:hunter2@host/0?socket_timeout=abc",
        "redis://:hunter2@host/zero",
        "unix://hunter2",
    ],
)
def test_a_secret_never_appears_in_an_error(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        read({"REDIS_URL": url})

    assert error.value.lines == [
        "REDIS_URL=****** cannot be used: "
        "allowed is redis://…, rediss://…, unix:///… or redis+sentinel://HOST,…/SERVICE, "
        "or empty for the embedded Redis"
    ]
    assert "hun" not in repr(error.value.__cause__) + repr(error.value.__context__)


@pytest.mark.parametrize("url", ["http://me:hunter2@model:11434", "ftp://me:hunter2@model"])
def test_a_password_in_ollamas_url_is_never_shown(url: str) -> None:
    try:
        settings = read({"OLLAMA_URL": url})
    except SettingsError as error:
        assert error.lines[0].startswith("OLLAMA_URL=ftp://******@model cannot")
    else:
        assert settings.ollama_name == masked("ollama_url", settings.ollama_url) == "http://******@model:11434"


def test_a_secret_is_masked_wherever_it_is_shown() -> None:
    settings = read({"REDIS_URL": "redis://:hunter2@redis:6379/0"})

    assert settings.redis_dsn == "redis://:hunter2@redis:6379/0"
    assert masked("redis_url", settings.redis_url) == "******"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("secret", ["short", "hunter2 hunter2 hunter2", "whsec_hunter2hunter2", "x" * 257])
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError) as error:
        read({"CALLBACK_SECRET": secret})
    assert error.value.lines == [
        "CALLBACK_SECRET=****** cannot be used: "
        "allowed is 16 to 256 visible ASCII characters, base64 behind whsec_, or empty for no callbacks"
    ]


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "redis_url"
    secret.write_text("redis://:hunter2@redis:6379/0\n")

    assert read({"REDIS_URL_FILE": str(secret)}).redis_dsn == "redis://:hunter2@redis:6379/0"


def test_a_secrets_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL_FILE=/nowhere cannot be used: No such file or directory"):
        read({"REDIS_URL_FILE": "/nowhere"})
    with pytest.raises(SettingsError, match="both set: only one of them is allowed"):
        read({"REDIS_URL_FILE": str(tmp_path), "REDIS_URL": "redis://redis"})


def test_timeouts_must_nest() -> None:
    with pytest.raises(SettingsError, match=r"OLLAMA_TIMEOUT=600 cannot be used.* below MESSAGE_TIME_LIMIT=600"):
        read({"OLLAMA_TIMEOUT": "600"})
    settings = read({"OLLAMA_TIMEOUT": "30", "MESSAGE_TIME_LIMIT": "60"})
    assert settings.ollama_timeout < settings.message_time_limit < settings.drain_timeout < settings.worker_stop_seconds


def test_the_grace_period_of_compose_covers_all_groups_that_stop_one_after_the_other() -> None:
    grace = re.search(r"stop_grace_period: \$\{STOP_GRACE_PERIOD:-(\d+)s\}", (ROOT / "compose.yaml").read_text())
    programs = [path.read_text() for path in (ROOT / "docker/supervisor/programs").glob("*.conf")]
    fixed = [int(seconds) for text in programs for seconds in re.findall(r"^stopwaitsecs=(\d+)$", text, re.MULTILINE)]

    assert len(fixed) == len(programs) - 1  # the worker's is derived
    assert sum(fixed) == OTHER_GROUPS_SECONDS
    assert grace and int(grace[1]) == Settings().stop_grace_period
    with pytest.raises(SettingsError, match=r"STOP_GRACE_PERIOD=660s cannot be used.* must be at least 3660s"):
        read({"MESSAGE_TIME_LIMIT": "3600"})
    assert read({"MESSAGE_TIME_LIMIT": "3600", "STOP_GRACE_PERIOD": "3700s"}).stop_grace_period == 3700


def test_a_container_without_redis_needs_one_elsewhere() -> None:
    with pytest.raises(SettingsError, match="PROGRAMS=worker cannot be used: without the program redis, REDIS_URL"):
        read({"PROGRAMS": "worker"})
    assert read({"PROGRAMS": "worker", "REDIS_URL": "redis://redis"}).started_programs == ("worker", "prepare")


def test_a_container_with_nothing_to_run_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"PROGRAMS=redis cannot be used.* nothing is left to run"):
        read({"PROGRAMS": "redis", "REDIS_URL": "redis://redis"})


def test_dedicated_workers_come_behind_the_others_in_the_order_given() -> None:
    settings = read({"WORKERS": "2", "WORKER_QUEUES": "mail,bulk", "WORKER_DEDICATED": "urgent=1, bulk=2"})

    assert settings.worker_processes == 5
    assert [settings.queues_of_worker(number) for number in range(6)] == [
        ("mail", "bulk"),
        ("mail", "bulk"),
        ("urgent",),
        ("bulk",),
        ("bulk",),
        ("mail", "bulk"),  # one more than the settings say, added by hand
    ]


def test_without_dedicated_workers_each_serves_all_queues() -> None:
    assert read({"WORKERS": "3"}).worker_processes == 3
    assert [read({}).queues_of_worker(number) for number in range(3)] == [()] * 3


def test_dedicated_workers_count_for_the_most_that_are_allowed() -> None:
    assert read({"WORKERS": "63", "WORKER_DEDICATED": "a=1"}).worker_processes == 64
    with pytest.raises(SettingsError) as error:
        read({"WORKERS": "63", "WORKER_DEDICATED": "a=1,b=1"})
    assert error.value.lines == [
        "WORKER_DEDICATED=a=1,b=1 cannot be used: with WORKERS=63 these are 65 worker processes, and at most 64 are "
        "allowed"
    ]


def test_sizes_are_shown_as_they_are_written() -> None:
    for text, size in {"256M": 256 * 2**20, "1G": 2**30, "1500": 1500, "10k": 10240, "0": 0}.items():
        assert parse_size(text) == size
        assert show_size(size) == text.upper()


def test_no_embedded_redis_is_started_beside_another_one() -> None:
    assert read({"REDIS_URL": "redis://redis"}).started_programs == (
        "web",
        "worker",
        "monitor",
        "events",
        "prepare",
    )


def test_what_is_prepared_is_prepared_beside_those_who_handle_messages() -> None:
    assert "prepare" in read({"QUEUE_TRANSPORT": "sync"}).started_programs
    assert "prepare" not in read({"PROGRAMS": "redis,web"}).started_programs
    assert "prepare" not in read({"PROGRAMS": "redis,monitor", "QUEUE_TRANSPORT": "sync"}).started_programs


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().workers = 3  # type: ignore[misc]


def test_the_example_file_lists_every_setting_with_its_default() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    listed = dict(line[1:].split("=", 1) for line in lines if re.match(r"#[A-Z_]+=", line))
    of_compose = {"BIND_ADDRESS", "PORT", "OLLAMA_VERSION", "OLLAMA_NUM_PARALLEL"}

    defaults = {name.upper(): masked(name, value) for name, value in Settings()}
    assert {name: value for name, value in listed.items() if name not in of_compose} == {
        name: value.removesuffix(".0") for name, value in defaults.items()
    } | {"STOP_GRACE_PERIOD": "660s"}


def test_compose_hands_every_setting_on() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    handed = set(re.findall(r"^      - ([A-Z_]+)$", compose, re.MULTILINE))

    files = {f"{name.upper()}_FILE" for name in Settings.model_fields if is_secret(name)}
    assert handed == {name.upper() for name in Settings.model_fields} | files
