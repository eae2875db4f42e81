"""The settings from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from .kinds import Misbehaviour


@dataclass(frozen=True)
class Settings:
    """The server's options with their defaults.

    port: TCP port, 0 takes a free one.
    parallel: requests that one model answers at the same time; the others wait without a byte.
    max_queue: requests that may wait for their turn before others are refused with 503.
    test_models: list and answer ``apertium-<misbehaviour>`` and ``/test/calls``.
    misbehave: what every chat call plays, whatever its model's name.
    delay: seconds, for the misbehaviours ``slow``, ``slow-words`` and ``fixed-latency``.
    failures: how often the misbehaviours ``…-then-well`` fail with each text.
    load: seconds for which a model is loaded before its first call, and again with other launch options.
    """

    port: int = 11434
    parallel: int = 2
    max_queue: int = 512
    test_models: bool = False
    misbehave: Misbehaviour | None = None
    delay: float = 5.0
    failures: int = 2
    load: float = 0.0


def settings_from(env: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables. Raises ValueError that names the bad variable."""
    default = Settings()
    return Settings(
        port=_whole(env, "MODEL_PORT", default.port),
        # Ollama reads 0 as "choose for me".
        parallel=_whole(env, "OLLAMA_NUM_PARALLEL", default.parallel) or default.parallel,
        max_queue=_whole(env, "OLLAMA_MAX_QUEUE", default.max_queue),
        test_models=env.get("MODEL_TEST_MODELS", "") == "1",
        misbehave=_misbehaviour(env.get("MODEL_MISBEHAVE", "")),
        delay=_seconds(env, "MODEL_DELAY", default.delay),
        failures=_whole(env, "MODEL_FAILURES", default.failures),
        load=_seconds(env, "MODEL_LOAD", default.load),
    )


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name, "") or str(default)
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"{name} must be a whole number of 0 or more, not {value!r}")
    return int(value)


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    value = env.get(name, "") or str(default)
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ValueError(f"{name} must be seconds between 0 and 3600, not {value!r}")
    return seconds


def _misbehaviour(value: str) -> Misbehaviour | None:
    if not value:
        return None
    if value not in list(Misbehaviour):
        raise ValueError(f"MODEL_MISBEHAVE must be one of {', '.join(Misbehaviour)}, not {value!r}")
    return Misbehaviour(value)
