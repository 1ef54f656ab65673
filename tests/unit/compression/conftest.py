from pathlib import Path

import pytest

from tests.attempts import Attempt, make_volume
from tests.unit.compression.phases import ask


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_volume(tmp_path_factory.mktemp("compression"))


@pytest.fixture(scope="session")
def titan(volume: Path) -> Attempt:
    """A plain Titan with a memory, searched, stored and packed."""
    return ask(volume, "titan").go()
