"""A volume with pico models, ternary ones among them, for all tests of the whole phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import pico
from tests.attempts import Attempt, make_volume
from tests.unit.training.phases import ALL, ask


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Titan, llama; ternary: a Titan of two layers that it goes through twice, the Llama."""
    from agentforge.models.ternary import record
    from agentforge.models.ternary.convert import convert

    home = make_volume(tmp_path_factory.mktemp("training"))
    deep = pico.titan(num_hidden_layers=2, act=True, act_steps_train=2, act_steps_infer=2)
    taught = pico.trained(deep, [("recall", 2)], 60, seed=1)  # right now and then: dreams and rewards need that
    for name, model in (("ternary", taught), ("ternary_llama", pico.llama())):
        convert(model)
        record.save(pico.save(model, home / "mine" / name), model)
    return home


@pytest.fixture(scope="session")
def everything(volume: Path) -> Attempt:
    """A run with all parts on that nobody disturbed."""
    return ask(volume, "everything", "ternary", **ALL).go()


@pytest.fixture(scope="session")
def plain(volume: Path) -> Attempt:
    """A run of the Llama with none."""
    return ask(volume, "plain", "llama").go()
