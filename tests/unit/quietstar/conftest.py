"""A volume with pico models, for all tests of the whole phase."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.unit.quietstar import phases

    home = tmp_path_factory.mktemp("quietstar") / "home"
    home.mkdir()
    phases.make_models(home)
    return home
