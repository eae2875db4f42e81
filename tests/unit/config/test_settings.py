"""Settings: an invalid one is reported in one line that names the variable, the value and what is expected."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr, ValidationError

from tandem.config import example
from tandem.config.settings import OTHER_GROUPS_SECONDS, Settings
from tandem.config.settings_base import SettingsBase, SettingsError, is_secret, masked, number, text
from tandem.config.values import parse_size, show_size
from tests.paths import ROOT

read = Settings.read
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
        ("RETRY_MULTIPLIER", "nan", "a number from 1 to 100"),
        ("RETRY_MULTIPLIER", "0.5", "a number from 1 to 100"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("WORKER_MEMORY_LIMIT", "3x", "a whole number of bytes, or one with K, M or G such as 256M"),
        (
            "PROGRAMS",
            "web,database",
            "names from redis, web, worker, monitor, eventlistener, with commas between them",
        ),
        ("PROGRAMS", ",", "names from redis, web, worker, monitor, eventlistener, with commas between them"),
        ("WORKER_QUEUES", "a b", "names of queues, with commas between them, or empty for all"),
        *(
            ("WORKER_DEDICATED", value, DEDICATED)
            for value in ("a", "a=", "=1", "a=0", "a=65", "a=1,a=2", "a=1=2", "a=x")
        ),
    ],
)
def test_an_invalid_value_is_reported_in_one_line(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as error:
        read({name: value})

    assert error.value.lines == [f"{name}={value} is invalid: expected {allowed}"]


@pytest.mark.parametrize("text", ["1_0", " 5 ", "5 ", "+5", "5.0", "2.5", "5e0", "٣"])
@pytest.mark.parametrize("name", [name.upper() for name, of in Settings.model_fields.items() if of.annotation is int])
def test_a_number_is_written_in_plain_digits(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as error:
        read({name: text})

    shown = text if text == text.strip() else repr(text)
    assert error.value.lines[0].startswith(f"{name}={shown} is invalid: ")


@pytest.mark.parametrize("text", ["1_0", " 5", "+5", "5.", ".5", "1e1", "٣"])
def test_a_decimal_number_is_written_in_plain_digits(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"at most one point between them, such as 0\.5; expected a number from 1 to"
    ):
        read({"RETRY_MULTIPLIER": text})
    assert read({"RETRY_MULTIPLIER": "1.5"}).retry_multiplier == 1.5


def test_why_a_number_is_refused_stands_before_what_is_allowed() -> None:
    with pytest.raises(SettingsError) as error:
        read({"WORKERS": "1_0"})
    assert error.value.lines == [
        "WORKERS=1_0 is invalid: a number is written with the digits 0 to 9 only: no space, sign, fraction, "
        "underscore or other digits; expected a whole number from 1 to 64"
    ]


@pytest.mark.parametrize(
    ("text", "seconds"), [("660", 660), ("660s", 660), ("11m", 660), ("1h30m", 5400), ("1h0m5s", 3605), ("2h", 7200)]
)
def test_the_grace_period_is_a_duration_as_compose_takes_it(text: str, seconds: int) -> None:
    assert read({"STOP_GRACE_PERIOD": text}).stop_grace_period == seconds


@pytest.mark.parametrize("text", ["s", "11 m", "30m1h", "1.5h", "+11m", "11m ", "11min", "1_1m", "٣m"])
def test_a_grace_period_that_is_no_duration_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(
        SettingsError, match="hours, minutes and seconds in this order, such as 1h30m or 660s; expected"
    ):
        read({"STOP_GRACE_PERIOD": text})


def test_names_of_hosts_are_compared_in_lower_case() -> None:
    assert read({"ALLOWED_HOSTS": "Example.com, WWW.EXAMPLE.ORG."}).allowed_hosts == ("example.com", "www.example.org")
    assert read({"ALLOWED_HOSTS": "*"}).allowed_hosts == ("*",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://example.com", "omit the scheme and the path"),
        ("example.com:8000", "omit the port"),
        ("*.example.com", "list each host"),
        ("münchen.example", "begins with xn--"),
        ("10.0.0.1:80", "omit the port"),
        ("[fd00::1]", "addresses are always allowed"),
        ("a b", "only letters, digits, points and hyphens"),
    ],
)
def test_a_host_that_is_none_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(reason)) as error:
        read({"ALLOWED_HOSTS": f"good.example,{text}"})
    assert repr(text) in error.value.lines[0]


NAMED = "alice:alice-has-this-token,bob:bob-has=another=one"


def test_tokens_have_names(tmp_path: Path) -> None:
    lines = tmp_path / "tokens"
    lines.write_text(NAMED.replace(",", "\n") + "\n")
    expected = {"alice": "alice-has-this-token", "bob": "bob-has=another=one"}

    assert read({"API_TOKENS": NAMED}).named_tokens == expected
    assert read({"API_TOKENS_FILE": str(lines)}).named_tokens == expected
    assert read({"API_TOKENS": NAMED}).asks_for_token and not read({}).asks_for_token
    assert masked(Settings, "api_tokens", read({"API_TOKENS": NAMED}).api_tokens) == "******"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hunter2-hunter2-hunter2", "entry 1 does not begin with a name and a colon"),
        ("alice:alice-has-this-token,:hunter2-hunter2-hunter2", "entry 2 does not begin with a name and a colon"),
        ("a b:hunter2-hunter2-hunter2", "entry 1 does not begin with a name"),
        ("alice:hunter2", "the token of entry 1 is invalid: it has 7 characters"),
        ("alice:hunter2 hunter2 hunter2", "the token of entry 1 is invalid: it has a space"),
        ("a:hunter2-hunter2-hunter2,a:hunter2-hunter2-hunter3", "entry 2 repeats the name of an earlier one"),
        ("a:hunter2-hunter2-hunter2,b:hunter2-hunter2-hunter2", "entry 2 repeats the token of an earlier one"),
    ],
)
def test_named_tokens_that_cannot_be_used_are_refused_with_their_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"API_TOKENS=****** is invalid: {reason}")) as error:
        read({"API_TOKENS": text})
    assert "hunter2" not in str(error.value)


def test_a_named_token_is_not_the_api_token_too() -> None:
    with pytest.raises(SettingsError, match="one of its tokens is the API_TOKEN as well"):
        read({"API_TOKENS": NAMED, "API_TOKEN": "alice-has-this-token"})


def test_all_invalid_values_are_reported_at_once() -> None:
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
        "REDIS_URL=****** is invalid: "
        "expected redis://…, rediss://…, unix:///… or redis+sentinel://HOST,…/SERVICE, "
        "or empty for the embedded Redis"
    ]
    assert "hun" not in repr(error.value.__cause__) + repr(error.value.__context__)


def test_a_secret_is_masked_wherever_it_is_shown() -> None:
    settings = read({"REDIS_URL": "redis://:hunter2@redis:6379/0"})

    assert settings.redis_dsn == "redis://:hunter2@redis:6379/0"
    assert masked(Settings, "redis_url", settings.redis_url) == "******"
    assert "hunter2" not in repr(settings)


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "redis_url"
    secret.write_text("redis://:hunter2@redis:6379/0\n")

    assert read({"REDIS_URL_FILE": str(secret)}).redis_dsn == "redis://:hunter2@redis:6379/0"


def test_a_secrets_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL_FILE=/nowhere is invalid: No such file or directory"):
        read({"REDIS_URL_FILE": "/nowhere"})
    with pytest.raises(SettingsError, match="both set: expected only one of them"):
        read({"REDIS_URL_FILE": str(tmp_path), "REDIS_URL": "redis://redis"})


def test_the_grace_period_of_compose_covers_all_groups_that_stop_one_after_the_other() -> None:
    grace = re.search(r"stop_grace_period: \$\{STOP_GRACE_PERIOD:-(\d+)s\}", (ROOT / "compose.yaml").read_text())
    programs = [path.read_text() for path in (ROOT / "docker/supervisor/programs").glob("*.conf")]
    fixed = [int(seconds) for text in programs for seconds in re.findall(r"^stopwaitsecs=(\d+)$", text, re.MULTILINE)]

    assert len(fixed) == len(programs) - 1  # the worker's is derived
    assert sum(fixed) == OTHER_GROUPS_SECONDS
    assert grace and int(grace[1]) == Settings().stop_grace_period
    with pytest.raises(SettingsError, match=r"STOP_GRACE_PERIOD=720s is invalid.* expected at least 3660s"):
        read({"MESSAGE_TIME_LIMIT": "3600"})
    assert read({"MESSAGE_TIME_LIMIT": "3600", "STOP_GRACE_PERIOD": "3700s"}).stop_grace_period == 3700


def test_compose_tells_the_container_what_it_tells_docker() -> None:
    for path in (ROOT / "compose.yaml", ROOT / "tandem/skeleton/compose.yaml.jinja"):
        assert path.read_text().count(" ${STOP_GRACE_PERIOD:-720s}") == 2


def test_a_debugger_is_for_development_only() -> None:
    with pytest.raises(SettingsError, match="DEBUG_PORT=5678 is invalid: whoever reaches the port runs code"):
        read({"DEBUG_PORT": "5678"})
    assert read({"DEBUG_PORT": "5678", "RELOAD": "1"}).debug_port == 5678


def test_a_container_without_redis_needs_one_elsewhere() -> None:
    with pytest.raises(SettingsError, match="PROGRAMS=worker is invalid: without the program redis, REDIS_URL"):
        read({"PROGRAMS": "worker"})
    assert read({"PROGRAMS": "worker", "REDIS_URL": "redis://redis"}).started_programs == ("worker", "init")


def test_a_container_with_nothing_to_run_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"PROGRAMS=redis is invalid.* no program is left to run"):
        read({"PROGRAMS": "redis", "REDIS_URL": "redis://redis"})


def test_dedicated_workers_come_after_the_others_in_the_given_order() -> None:
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
        "WORKER_DEDICATED=a=1,b=1 is invalid: with WORKERS=63 these are 65 worker processes; expected at most 64"
    ]


def test_sizes_are_shown_as_they_are_written() -> None:
    for written, size in {"256M": 256 * 2**20, "1G": 2**30, "1500": 1500, "10k": 10240, "0": 0}.items():
        assert parse_size(written) == size
        assert show_size(size) == written.upper()


def test_no_embedded_redis_is_started_beside_another_one() -> None:
    assert read({"REDIS_URL": "redis://redis"}).started_programs == (
        "web",
        "worker",
        "monitor",
        "eventlistener",
        "proxy",
        "init",
    )


def test_what_is_prepared_is_prepared_beside_those_who_handle_messages() -> None:
    assert "init" in read({"QUEUE_TRANSPORT": "sync"}).started_programs
    assert "init" not in read({"PROGRAMS": "redis,web"}).started_programs
    assert "init" not in read({"PROGRAMS": "redis,monitor", "QUEUE_TRANSPORT": "sync"}).started_programs


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().workers = 3  # type: ignore[misc]


class Greetings(SettingsBase):
    headings: ClassVar = {"greeting_seconds": "greetings"}
    compose_variables: ClassVar = {"GREETING_IMAGE": ("latest", "Of the image.")}

    greeting_seconds: int = number(5, 0, 600, "How long a greeting takes, in seconds.")
    greeting_key: SecretStr | None = text(None, "any text", "Signs greetings.")


def test_a_workloads_settings_are_read_checked_and_masked_as_the_platforms(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2\n")
    read = Greetings.read({"GREETING_SECONDS": "7", "GREETING_KEY_FILE": str(tmp_path / "key")})
    assert read.greeting_seconds == 7 and read.greeting_key and read.greeting_key.get_secret_value() == "hunter2"
    assert read.shown() == {"GREETING_SECONDS": "7", "GREETING_KEY": "******"}
    with pytest.raises(SettingsError) as error:
        Greetings.read({"GREETING_SECONDS": "soon"})
    assert error.value.lines == ["GREETING_SECONDS=soon is invalid: expected a whole number from 0 to 600"]


def test_the_example_has_each_setting_with_its_heading_explanation_and_default() -> None:
    written = example.text([Settings, Greetings])
    assert written.endswith(
        f"\n# --- greetings {'-' * (example.WIDTH - len('# --- greetings '))}\n"
        "# How long a greeting takes, in seconds.\n#GREETING_SECONDS=5\n# Signs greetings.\n#GREETING_KEY=\n"
    )
    assert "# Of the image.\n#GREETING_IMAGE=latest\n" in written
    listed = dict(line[1:].split("=", 1) for line in written.splitlines() if re.match(r"#[A-Z_]+=", line))
    for name, value in Settings().shown().items():
        assert listed[name] == value
        assert is_secret(Settings, name.lower()) or read({name: value}) == Settings()
    assert max(map(len, written.splitlines())) <= 120


def test_compose_hands_every_setting_on_without_knowing_any() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    assert "    env_file:\n      - path: .env\n        required: false\n" in compose
    assert {name for name in map(str.upper, Settings.model_fields) if name in compose} == {
        "STOP_GRACE_PERIOD",
        "MESSAGE_TIME_LIMIT",
    }
