"""Its service killed at random instants, a run goes on and ends with the same bytes."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from agentforge.client import PhaseClient
from agentforge.kit.phase import PhaseSpec
from tests.contract.examples import Example, inputs_for, phases
from tests.contract.kills import finish, kill_a_worker, outputs
from tests.harness import phase_service, running, worker_pids


def gone(home: Path, timeout_s: float = 60) -> bool:
    """Whether all workers end, now that their runs have."""
    deadline = time.monotonic() + timeout_s
    while worker_pids(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not worker_pids(home)


def services_killed() -> list[Any]:
    """What is proven here is the kit's: of the installed phases one will do."""
    return [
        pytest.param(
            each,
            id=each[1].name,
            marks=[pytest.mark.slow] if each[0] == "agentforge.pipeline" and each[1].name != "bitnet" else [],
        )
        for each in phases()
    ]


@pytest.mark.parametrize("phase", services_killed(), indirect=True)
def test_killed_services(spec: PhaseSpec, tmp_path: Path, example: Example, pipeline: str) -> None:
    home = tmp_path / "home"
    service = phase_service(spec.name, home, pipeline)
    chance = random.Random(spec.name)
    with running(service) as client:
        inputs = inputs_for(spec, home)
        calm = outputs(finish(client, "calm", example, inputs))
        client.start("stormy", example.config, inputs, preset=example.preset)
        for _ in range(max(1, example.kills // 2)):
            time.sleep(chance.uniform(0.0, 0.3))
            service.kill()
            if chance.random() < 0.5:
                kill_a_worker(home)
            service.start()
        with PhaseClient(service.target) as fresh:
            assert outputs(finish(fresh, "stormy", example, inputs)) == calm
        assert gone(home), "a worker outlived its run"
