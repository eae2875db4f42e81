"""Containers shared by the tests of the translation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from testcontainers.core.network import Network

from app.translation.tests.integration.translating import Model, TranslatingTandem
from app.translation.tests.paths import MIXED
from tests.integration.containers import running, running_until_left
from tests.paths import ROOT


@pytest.fixture(scope="session")
def model(network: Network) -> Iterator[Model]:
    model = Model(network)
    running.append(model)
    model.start()
    yield model
    running.remove(model)
    model.remove()


@pytest.fixture
def new_model(network: Network) -> Iterator[Callable[..., Model]]:
    """Create a container of a model with the given alias for one test, which starts it."""
    own: list[Model] = []

    def make(alias: str, **environment: str) -> Model:
        model = Model(network, alias=alias, **environment)
        own.append(model)
        running.append(model)
        return model

    yield make
    for each in own:
        running.remove(each)
        each.remove()


@pytest.fixture(scope="session")
def app(network: Network, model: Model) -> Iterator[TranslatingTandem]:
    """A container with default settings, for tests that do not change it."""
    yield from running_until_left(TranslatingTandem(network, {"RETRY_DELAY": "200"}))


@pytest.fixture
def start(network: Network) -> Iterator[Callable[..., TranslatingTandem]]:
    """Start a container for one test with the settings given as keywords; remove it at the end."""
    own: list[TranslatingTandem] = []

    def start(*, options: dict[str, Any] | None = None, **settings: str) -> TranslatingTandem:
        tandem = TranslatingTandem(network, settings, **(options or {}))
        own.append(tandem)
        running.append(tandem)
        tandem.start()
        return tandem

    yield start
    for tandem in own:
        running.remove(tandem)
        tandem.remove()


@pytest.fixture
def start_mixed(start: Callable[..., TranslatingTandem]) -> Callable[..., TranslatingTandem]:
    """The same with the actors of tests/testapp beside the translation (see tests/mixed)."""
    folders = {str(ROOT / "tests/testapp"): "/srv/tandem/testapp", str(MIXED): "/srv/tandem/mixed"}
    return partial(start, options={"volumes": folders}, TANDEM_APP="mixed")
