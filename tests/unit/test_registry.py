"""What is refused before the first message: one line that names the place and says what to change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dramatiq.middleware import AsyncIO

from tandem.broker.broker import Broker
from tandem.broker.in_flight import InFlight
from tandem.worker.time_limit import TimeLimit
from tests.paths import ROOT

pytestmark = pytest.mark.slow

GOOD = "import dramatiq\n\n@dramatiq.actor\ndef work():\n    pass\n"


def load(tmp_path: Path, module: str, **environment: str) -> list[str]:
    """What a fresh process says of an application whose workload is this module, called mine.py."""
    (tmp_path / "mine.py").write_text(
        f"{module}\nfrom tandem.workload import Workload\nworkload = Workload(name='mine')\n"
    )
    (tmp_path / "registered.py").write_text('workloads = ("mine",)')
    return said(tmp_path, **environment)


def said(tmp_path: Path, **environment: str) -> list[str]:
    """What a fresh process says of the application that lies in this folder."""
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from tandem import registry
from tandem.config import settings
from tandem.config.settings_base import SettingsError
try:
    registry.load_and_verify(settings.current())
except (registry.LoadError, SettingsError) as error:
    print("\\n".join(error.lines).replace({str(tmp_path) + "/"!r}, ""))
"""
    command = [sys.executable, "-c", code]
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TANDEM_APP": "registered", **environment}
    ended = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


DRAMATIQS = (
    "max_retries=5, min_backoff=1000, max_backoff=60_000, retry_when=lambda retries, exception: retries < 5, "
    "throws=(KeyError, ValueError), max_age=86_400_000, on_retry_exhausted='work', time_limit=1000, priority=5"
)


@pytest.mark.parametrize(
    "module",
    [
        GOOD,
        GOOD.replace("actor\n", "actor(max_retries=None, retry_delay=0)\n"),
        GOOD.replace("actor\n", f"actor({DRAMATIQS})\n"),
        GOOD.replace("def work", "async def work"),
    ],
    ids=["an actor", "its retries", "dramatiq's options", "async"],
)
def test_workloads_that_can_run_are_loaded_without_a_word(tmp_path: Path, module: str) -> None:
    assert load(tmp_path, module) == []


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            "import dramatiq\nimport stripe_that_nobody_has\n",
            "mine.py:2: ModuleNotFoundError: No module named 'stripe_that_nobody_has': install the package",
        ),
        ("import dramatiq\n\ndef work(:\n", "mine.py:3: SyntaxError: "),
        ("import os\nLIMIT = int(os.environ['LIMIT'])\n", "mine.py:2: KeyError: 'LIMIT'"),
        (
            f"{GOOD}\n@dramatiq.actor(actor_name='work')\ndef other():\n    pass\n",
            "mine.py:7: ValueError: An actor named 'work' is already registered. The other one is at mine.py:3: ",
        ),
        (
            GOOD.replace("actor\n", "actor(min_backof=60)\n"),
            "mine.py:3: the actor work has the option min_backof, which no middleware knows: did you mean min_backoff?",
        ),
        (GOOD.replace("actor\n", "actor(shiny=1)\n"), "which no middleware knows: add the middleware that defines it"),
        (
            GOOD.replace("actor\n", "actor(min_backoff=1, retry_delay=1)\n"),
            "the actor work has retry_delay and min_backoff, which are two names of one option: remove one of them",
        ),
        (GOOD.replace("actor\n", "actor(max_backoff=-1)\n"), "work has max_backoff=-1: expected milliseconds from 0"),
        (
            GOOD.replace("actor\n", "actor(unique=True, on_duplicate='replace')\n"),
            'on_duplicate="replace" without until="start": the arguments of a message that runs cannot be replaced',
        ),
        (GOOD.replace("actor\n", "actor(until='start')\n"), "until or on_duplicate without unique: add unique=True"),
        (GOOD.replace("actor\n", "actor(unique=5)\n"), "the actor work has unique=5: expected True or a function"),
        (
            GOOD.replace("actor\n", "actor(unique=True, until='now')\n"),
            "the actor work has until='now': expected one of start, end",
        ),
        (
            GOOD.replace("actor\n", "actor(rate='0/s')\n"),
            "the actor work has rate='0/s': expected a number of",
        ),
        (
            GOOD.replace("actor\n", "actor(rate=5)\n"),
            "the actor work has rate=5: expected a number of",
        ),
        (
            GOOD.replace("actor\n", "actor(max_concurrency=0)\n"),
            "the actor work has max_concurrency=0: expected a number from 1",
        ),
        (
            GOOD.replace("actor\n", "actor(concurrency_key=str)\n"),
            "concurrency_key without max_concurrency: add how many messages with one key may run at the same time",
        ),
        (GOOD.replace("actor\n", "actor(rate_key=str)\n"), "rate_key without rate: add how many messages with one key"),
        (
            GOOD.replace("actor\n", "actor(rate='1/s', max_concurrency=1, concurrency_key=str)\n"),
            "max_concurrency and rate with different keys: use one function for both, or put one of the limits on the",
        ),
        (
            "import dramatiq\ndramatiq.set_encoder(dramatiq.PickleEncoder())\n"
            + GOOD.replace("actor\n", "actor(rate='1/s')\n"),
            "a limit, which needs messages in JSON, but the encoder is PickleEncoder",
        ),
        (
            GOOD.replace("actor\n", "actor(priority='high')\n"),
            "priority='high': expected a whole number",
        ),
        (GOOD.replace("actor\n", "actor(time_limit='5s')\n"), "time_limit='5s': expected milliseconds above 0"),
        (GOOD.replace("actor\n", "actor(time_limit=0)\n"), "time_limit=0: expected milliseconds above 0"),
        (
            GOOD.replace("actor\n", "actor(on_retry_exhausted=['x'])\n"),
            "on_retry_exhausted=['x']: expected the name",
        ),
        (GOOD.replace("actor\n", "actor(retry_delay=float('inf'))\n"), "retry_delay=inf: expected milliseconds from 0"),
        (GOOD.replace("actor\n", "actor(expires=0)\n"), "expires=0: expected milliseconds from 1"),
        (
            GOOD.replace("actor\n", "actor(max_concurrency=1, concurrency_key=lambda one, two: one)\n"),
            "concurrency_key, which does not take the arguments of the actor: ()",
        ),
        (GOOD.replace("actor\n", "actor(expires=-5)\n"), "the actor work has expires=-5: expected milliseconds from 1"),
        (GOOD.replace("actor\n", "actor(retry_when=5)\n"), "the actor work has retry_when=5: expected a function"),
        (
            GOOD.replace("actor\n", "actor(throws='ValueError')\n"),
            "the actor work has throws='ValueError': expected a class of exceptions, or a tuple of them",
        ),
        (
            GOOD.replace("actor\n", "actor(on_retry_exhausted='nobody')\n"),
            "the actor work has on_retry_exhausted='nobody': expected the name of an actor",
        ),
        (
            "import dramatiq\ndramatiq.get_broker().add_middleware(dramatiq.middleware.Retries())\n",
            "mine.py:2: TypeError: dramatiq.middleware.Retries cannot be added",
        ),
        (
            f"import dramatiq\nfrom dramatiq.brokers.stub import StubBroker\ndramatiq.set_broker(StubBroker())\n{GOOD}",
            "mine.py:3: another broker was set: dramatiq.brokers.stub.StubBroker instead of Tandem's",
        ),
        (
            f"from dramatiq.brokers.stub import StubBroker\n{GOOD}\n"
            "@dramatiq.actor(broker=StubBroker())\ndef other():\n    pass\n",
            "mine.py:8: the actor other belongs to another broker, and no worker here runs it",
        ),
        (
            GOOD.replace("actor\n", "actor(retry_multiplier=0)\n"),
            "mine.py:3: the actor work has retry_multiplier=0: expected a number from 1",
        ),
        (
            GOOD.replace("actor\n", "actor(max_retries='3')\n"),
            "mine.py:3: the actor work has max_retries='3': expected a whole number from 0, or None for no limit",
        ),
        ("x = 1\n", "no workload has an actor: declare one with @dramatiq.actor"),
        (
            GOOD.replace("actor\n", "actor(time_limit=7_200_000)\n"),
            "mine.py:3: the actor work may run for 7200 s, but a stop waits for only 600 s: raise MESSAGE_TIME_LIMIT",
        ),
    ],
    ids=lambda value: None,
)
def test_workloads_that_cannot_run_are_refused_in_one_line(tmp_path: Path, module: str, said: str) -> None:
    (line,) = load(tmp_path, module)
    assert said in line, line


def application(tmp_path: Path, **files: str) -> None:
    """An application: its modules by their names."""
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)


def workload(name: str, **arguments: str) -> str:
    """The text of a module with one workload, and with an actor of this name."""
    given = "".join(f", {key}={value}" for key, value in arguments.items())
    actor = GOOD.replace("def work", f"def {name}")
    return f"{actor}\nfrom tandem.workload import Workload\nworkload = Workload(name='{name}'{given})\n"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (None, "TANDEM_APP=registered is invalid: there is no module registered; expected a package with `workloads`"),
        ("x = 1\n", 'TANDEM_APP=registered is invalid: it has no `workloads`; expected workloads = ("registered.gree'),
        ("workloads = 5\n", "TANDEM_APP=registered is invalid: it has no `workloads`; expected workloads = ("),
        ("import nobody_has_it\n", "registered.py:1: ModuleNotFoundError: No module named 'nobody_has_it': install"),
        (
            "workloads = ('a',)\n",
            "a is listed in registered/__init__.py, but has no `workload`; expected workload = Work",
        ),
        (
            "workloads = ('gone',)\n",
            "registered/__init__.py names gone, which does not exist: correct the name, or remove the",
        ),
    ],
)
def test_an_application_that_is_none_is_refused_in_one_line(tmp_path: Path, module: str | None, line: str) -> None:
    application(tmp_path, a=GOOD, **({"registered": module} if module else {}))
    (found,) = said(tmp_path)
    assert line in found


SETTING = """
from tandem.config.settings_base import SettingsBase, number
class Mine(SettingsBase):
    {name}: int = number(1, 0, 5, "")
"""


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        (
            SETTING.format(name="pages") + workload("a", settings="Mine"),
            SETTING.format(name="pages") + workload("b", settings="Mine"),
            "a and b both have the setting PAGES: rename one of them",
        ),
        (
            SETTING.format(name="workers") + workload("a", settings="Mine"),
            workload("b"),
            "the platform and a both have the setting WORKERS: rename one of them",
        ),
        (
            workload("a", max_concurrency="lambda _: {'mail': 1}"),
            workload("b", max_concurrency="lambda _: {'mail': 2}"),
            "a and b both limit the queue mail: rename one of them",
        ),
        (workload("a"), workload("b").replace("name='b'", "name='a'"), "two workloads have the name a: rename"),
    ],
    ids=["a setting", "the platform's setting", "the bound of a queue", "a name"],
)
def test_what_two_workloads_claim_is_refused_with_both_sides(
    tmp_path: Path, first: str, second: str, line: str
) -> None:
    application(tmp_path, first=first, second=second, registered="workloads = ('first', 'second')\n")
    (found,) = said(tmp_path)
    assert line in found


def test_settings_of_all_workloads_are_reported_at_once(tmp_path: Path) -> None:
    for number, name in enumerate(("pages", "copies")):
        text = SETTING.format(name=name) + workload(f"w{number}", settings="Mine")
        application(tmp_path, **{f"m{number}": text})
    application(tmp_path, registered="workloads = ('m0', 'm1')\n")
    assert said(tmp_path, PAGES="6", COPIES="x") == [
        "PAGES=6 is invalid: expected a whole number from 0 to 5",
        "COPIES=x is invalid: expected a whole number from 0 to 5",
    ]


def test_the_registry_accepts_names_and_workloads(tmp_path: Path) -> None:
    application(tmp_path, named=workload("named"), registered=workload("given") + "workloads = ('named', workload)\n")
    assert said(tmp_path) == []


RESULTS = """
import dramatiq
from dramatiq.middleware import AgeLimit
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend
from tandem import Placed, Workload

@dramatiq.actor(store_results=True)
def {name}():
    return 5

workload = Workload(name="{name}", middleware={middleware})
"""


@pytest.mark.parametrize(
    "middleware",
    [
        "[Results(backend=StubBackend())]",
        "lambda config: [Results(backend=StubBackend())]",
        "[Placed(Results(backend=StubBackend()), before=AgeLimit)]",
    ],
)
def test_middleware_of_a_workload_brings_options_for_actors_that_were_declared_before(
    tmp_path: Path, middleware: str
) -> None:
    application(tmp_path, a=RESULTS.format(name="a", middleware=middleware), registered="workloads = ('a',)\n")
    assert said(tmp_path) == []


@pytest.mark.parametrize(
    ("middleware", "line"),
    [
        ("[5]", "the middleware 5 of a is invalid: expected an instance of dramatiq.Middleware"),
        ("[Results]", "of a is invalid: expected an instance of dramatiq.Middleware"),
        (
            "[Placed(Results(backend=StubBackend()), before=Results)]",
            "the middleware Results of a cannot be added: Middleware <class 'dramatiq.results.middleware.Results'> not",
        ),
        (
            "[Placed(Results(backend=StubBackend()), before=AgeLimit, after=AgeLimit)]",
            "the middleware Results of a cannot be added: provide either 'before' or 'after', but not both",
        ),
        ("[dramatiq.middleware.Retries()]", "the middleware Retries of a cannot be added: dramatiq.middleware.Retries"),
    ],
)
def test_middleware_that_cannot_be_added_is_refused_with_its_workload(
    tmp_path: Path, middleware: str, line: str
) -> None:
    application(tmp_path, a=RESULTS.format(name="a", middleware=middleware), registered="workloads = ('a',)\n")
    (found,) = said(tmp_path)
    assert line in found


def test_middleware_of_a_workload_runs_within_the_time_limit_of_none(broker: Broker) -> None:
    """An interrupt in a hook would end the worker's thread, not the message."""
    broker.add_middleware(AsyncIO())
    assert [type(part).__name__ for part in broker.middleware][-2:] == ["AsyncIO", "TimeLimit"]


@pytest.fixture
def broker() -> Broker:
    return Broker(middleware=[InFlight(), TimeLimit()])


SCHEDULED = """
import dramatiq
from tandem import Schedule, Workload

@dramatiq.actor(actor_name="{name}-work")
def work(number: int):
    pass

workload = Workload(name="{name}", schedules=[{schedule}])
"""


@pytest.mark.parametrize(
    ("schedule", "lines"),
    [
        ('Schedule("15 3 * * *", work, args=[5], timezone="Europe/Berlin")', []),
        ('Schedule("61 * * * *", work, args=[5])', ["the schedule a-work of a has '61 * * * *': Bad minute; expected"]),
        ('Schedule("0 0 * * *", work, args=["x"])', ["the schedule a-work of a has args=['x'], kwargs={}: number: "]),
        ('Schedule("0 0 * * *", work)', ["the schedule a-work of a has args=[], kwargs={}: missing a required"]),
        (
            'Schedule("0 0 * * *", work, [1]), Schedule("0 1 * * *", work, [1])',
            ["a and a both have the schedule a-work: rename one of them"],
        ),
    ],
)
def test_schedules_are_checked_at_the_start(tmp_path: Path, schedule: str, lines: list[str]) -> None:
    application(tmp_path, a=SCHEDULED.format(name="a", schedule=schedule), registered="workloads = ('a',)\n")
    found = said(tmp_path)
    assert len(found) == len(lines), found
    assert all(line in text for line, text in zip(lines, found, strict=True)), found


def test_schedules_need_the_encoder_in_which_their_messages_are_stored(tmp_path: Path) -> None:
    text = SCHEDULED.format(name="a", schedule='Schedule("0 0 * * *", work, args=[5])')
    application(
        tmp_path, a=text + "dramatiq.set_encoder(dramatiq.PickleEncoder())\n", registered="workloads = ('a',)\n"
    )
    (found,) = said(tmp_path)
    assert "schedules need dramatiq's JSONEncoder, but PickleEncoder was set" in found


@pytest.mark.parametrize(
    ("rates", "lines"),
    [
        ("{'default': '10/s'}", []),
        ("lambda config: {'default': '10/s'}", []),
        ("{'default': '0/s'}", ["work limits the queue default: the rate '0/s' is invalid: expected a number of"]),
        ("{'nowhere': '1/s'}", ["work limits the rate of nowhere, which is no queue: expected one of default"]),
    ],
)
def test_rates_are_checked_at_the_start(tmp_path: Path, rates: str, lines: list[str]) -> None:
    application(tmp_path, a=workload("work", rates=rates), registered="workloads = ('a',)\n")
    found = said(tmp_path)
    assert len(found) == len(lines) and all(line in text for line, text in zip(lines, found, strict=True)), found


def test_two_rates_of_one_queue_are_refused(tmp_path: Path) -> None:
    both = {name: workload(name, rates="{'default': '1/s'}") for name in ("a", "b")}
    application(tmp_path, **both, registered="workloads = ('a', 'b')\n")
    assert said(tmp_path) == ["a and b both limit the rate of the queue default: rename one of them"]
