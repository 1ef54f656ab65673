"""A volume with pico models, for all tests of the whole phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attempts import Attempt, make_volume
from tests.unit.bitnet.phases import ask


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_volume(tmp_path_factory.mktemp("bitnet"))


@pytest.fixture(scope="session")
def calm(volume: Path) -> Attempt:
    """A run of the Llama that nobody disturbed."""
    return ask(volume, "calm", "llama").go()
