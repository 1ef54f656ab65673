"""A volume with pico models, a ternary one among them, for all tests of the whole phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import pico
from tests.attempts import Attempt, make_volume
from tests.unit.baking.phases import ask


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Titan, llama; ternary: a Titan that it goes through twice."""
    from agentforge.models.ternary import record
    from agentforge.models.ternary.convert import convert
    from agentforge.train.examine import held_out_texts

    held_out_texts()  # parsed once here, and not in the child of every run
    home = make_volume(tmp_path_factory.mktemp("baking"))
    model = pico.titan(act=True, act_steps_train=2, act_steps_infer=2)
    convert(model)
    record.save(pico.save(model, home / "mine/ternary"), model)
    return home


@pytest.fixture(scope="session")
def everything(volume: Path) -> Attempt:
    """Tools and persona in a ternary model, undisturbed."""
    return ask(volume, "everything", "ternary").go()
