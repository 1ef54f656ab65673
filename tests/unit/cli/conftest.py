from pathlib import Path

import pytest

from tests.unit.cli.program import Program


@pytest.fixture
def forge(tmp_path: Path) -> Program:
    """The program on a volume of its own."""
    home = tmp_path / "home"
    home.mkdir()
    return Program(home)
