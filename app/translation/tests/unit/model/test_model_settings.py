"""The offline model's settings and the limits that come from them."""

import threading

import pytest

from app.translation.model.errors import ApiError, ClientGone
from app.translation.model.kinds import Misbehaviour
from app.translation.model.settings import Settings, settings_from
from app.translation.model.slots import Slots
from app.translation.model.tally import Tally

pytestmark = pytest.mark.slow


def test_an_empty_environment_gives_the_defaults() -> None:
    assert settings_from({}) == Settings()
    assert settings_from({"MODEL_PORT": "", "OLLAMA_NUM_PARALLEL": "0", "MODEL_MISBEHAVE": ""}) == Settings()


def test_every_setting_is_read() -> None:
    env = {
        "MODEL_PORT": "1234",
        "OLLAMA_NUM_PARALLEL": "3",
        "OLLAMA_MAX_QUEUE": "4",
        "MODEL_TEST_MODELS": "1",
        "MODEL_MISBEHAVE": "503-then-well",
        "MODEL_DELAY": "0.5",
        "MODEL_FAILURES": "6",
        "MODEL_LOAD": "1.5",
    }
    assert settings_from(env) == Settings(1234, 3, 4, True, Misbehaviour.BUSY_THEN_WELL, 0.5, 6, 1.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MODEL_PORT", "-1"), ("MODEL_DELAY", "soon"), ("MODEL_DELAY", "nan"), ("MODEL_MISBEHAVE", "sing")],
)
def test_a_bad_value_is_refused_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*{value}"):
        settings_from({name: value})


def here() -> bool:
    return False


def test_a_full_queue_refuses_and_a_free_slot_is_given_on() -> None:
    slots = Slots(parallel=1, max_queue=1)
    waiting = threading.Event()
    served = threading.Event()

    def wait_in_queue() -> None:
        with slots.one(still_there):
            served.set()

    def still_there() -> bool:
        waiting.set()
        return False

    with slots.one(here):
        thread = threading.Thread(target=wait_in_queue)
        thread.start()
        assert waiting.wait(5)
        with pytest.raises(ApiError, match="server busy") as refused, slots.one(here):
            pass
        assert refused.value.status == 503
        assert not served.is_set()
    assert served.wait(5)
    thread.join(5)


def test_a_client_that_is_gone_leaves_the_queue() -> None:
    slots = Slots(parallel=1, max_queue=1)
    with slots.one(here):
        for _ in range(3):
            with pytest.raises(ClientGone), slots.one(lambda: True):
                pass


def test_counters_remember_a_bounded_number_of_texts() -> None:
    tally = Tally(limit=1)
    assert [tally.add("a"), tally.add("b"), tally.add("a"), tally.add("b")] == [1, 1, 2, 1]
    assert tally.as_json() == {"chat": 4, "most_running": 0, "gone": 0, "loads": [], "texts": {"a": 2}}
