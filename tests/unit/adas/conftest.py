from pathlib import Path

import pytest

from tests.attempts import Attempt, make_volume
from tests.unit.adas.phases import ask


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_volume(tmp_path_factory.mktemp("adas"))


@pytest.fixture(scope="session")
def packed(volume: Path) -> Attempt:
    """A Titan with a memory, searched and packed."""
    return ask(volume, "packed").go()


@pytest.fixture(scope="session")
def llama(volume: Path) -> Attempt:
    """A Llama as it came, signed by nobody."""
    return ask(volume, "llama", "llama", search=None, export={"int8": None, "cpu": ["4bit"], "context": 48}).go()
