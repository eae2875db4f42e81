"""Containers of this application, used as clients do, and of the offline model."""

from __future__ import annotations

import json
import os
from typing import Any, cast

from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

from tests.integration.tandem import APP_IMAGE, START_SECONDS, Tandem, await_true, http_request, locked_down

# bin/test builds it under this name.
MODEL_IMAGE = f"tandem-model:{os.environ.get('TANDEM_TEST_TAG', 'test')}"
# Allow all test models, and disable the cache so that every call is counted.
FOR_TESTS = {"OLLAMA_MODELS": "*", "TRANSLATION_CACHE": "0"}
TRANSLATION_SECONDS = 60


class TranslatingTandem(Tandem):
    """A container of this application."""

    def __init__(
        self, network: Network, environment: dict[str, str], *, image: str = APP_IMAGE, **options: Any
    ) -> None:
        super().__init__(network, FOR_TESTS | environment, image=image, **options)

    def translate(self, text: str, target: str = "es", **fields: str) -> dict[str, Any]:
        """The JSON of an accepted translation."""
        answer = self.request("POST", "/translations", json={"text": text, "target": target, **fields})
        assert answer.status_code == 202, answer.text
        return cast("dict[str, Any]", answer.json())

    def translation(self, id_: str) -> dict[str, Any]:
        """The JSON of a translation as it is now."""
        answer = self.request("GET", f"/translations/{id_}")
        assert answer.status_code == 200, answer.text
        return cast("dict[str, Any]", answer.json())

    def ended(self, id_: str, *, seconds: float = TRANSLATION_SECONDS) -> dict[str, Any]:
        """The translation, waited for until it is done or failed."""

        def look() -> dict[str, Any] | None:
            seen = self.translation(id_)
            return seen if seen["status"] in ("done", "failed") else None

        return cast("dict[str, Any]", await_true(look, seconds=seconds, what=f"the end of translation {id_}"))


class Model:
    """The offline model's container with its test models, reachable inside the network as `model`."""

    started = False

    def __init__(self, network: Network, *, alias: str = "model", **environment: str) -> None:
        container = DockerContainer(MODEL_IMAGE).with_network(network).with_network_aliases(alias)
        container.with_exposed_ports(11434).with_envs(
            **{"MODEL_TEST_MODELS": "1", "OLLAMA_NUM_PARALLEL": "8"} | environment
        )
        container.waiting_for(HealthcheckWaitStrategy().with_startup_timeout(START_SECONDS))
        self._container = locked_down(container, "model")

    def start(self) -> Model:
        """Starts it and waits until it is healthy."""
        self._container.start()
        self.started = True
        return self

    @property
    def docker(self) -> Container:
        """The container in Docker's own words."""
        return cast(Container, self._container.get_wrapped_container())

    def remove(self) -> None:
        """Removes it by force."""
        self._container.stop()

    @property
    def url(self) -> str:
        """Where its port is published."""
        return f"http://{self._container.get_container_host_ip()}:{self._container.get_exposed_port(11434)}"

    def calls(self) -> dict[str, Any]:
        """How often it was asked, in all and for each text."""
        answer = http_request("GET", f"{self.url}/test/calls")
        return cast("dict[str, Any]", json.loads(answer.text))

    def translate(self, text: str) -> str:
        """What it says of an English text when it is asked for Spanish."""
        messages = [
            {"role": "system", "content": "Translate from English (en) to Spanish (es)."},
            {"role": "user", "content": text},
        ]
        body = {"model": "apertium", "messages": messages, "stream": False}
        answer = http_request("POST", f"{self.url}/api/chat", json=body, timeout=60)
        return str(answer.json()["message"]["content"])

    def logs(self) -> str:
        """Everything it has logged."""
        return cast(bytes, self._container.get_wrapped_container().logs()).decode(errors="replace")
