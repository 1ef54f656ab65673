"""Two processes train together; the first alone leads the agents, also where a resume finds the training done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentforge.phase6_baking.publish import COORDINATION
from agentforge.tools.saving import load_tools
from tests.unit.baking.phases import ask
from tests.workers import kill_when, succeed


@pytest.mark.slow
def test_two_ranks_make_one_agent(volume: Path) -> None:
    run = ask(volume, "ranks", "ternary", processes=2)
    kill_when(run.run, lambda record: record.get("measurement", {}).get("name") == "baking/pass_memory")
    succeed(run.run)
    log = json.loads(run.files[COORDINATION])
    assert {each["state"] for each in log["agents"].values()} == {"done"}
    assert load_tools(run.output) is not None
