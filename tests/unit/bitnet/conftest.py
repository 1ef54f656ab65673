"""A volume with pico models, for all tests of the whole phase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.bitnet.phases import Attempt


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.unit.bitnet import phases

    home = tmp_path_factory.mktemp("bitnet") / "home"
    home.mkdir()
    phases.make_models(home)
    return home


@pytest.fixture(scope="session")
def calm(volume: Path) -> Attempt:
    """A run of the Llama that nobody disturbed."""
    from tests.unit.bitnet import phases

    return phases.ask(volume, "calm", "llama").go()
