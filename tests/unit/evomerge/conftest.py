"""A volume with pico models of one trunk, trained once for all tests of the whole phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.evomerge import phases


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("evomerge") / "home"
    home.mkdir()
    phases.make_family(home)
    return home
