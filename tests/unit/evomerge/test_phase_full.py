"""Three generations of models of the full size: how long they take, and how much memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from agentforge.kit.state import RunSummary
from agentforge.models import TitanConfig, TitanForCausalLM
from tests import pico
from tests.unit.evomerge.phases import SPECIALISTS, ask, family
from tests.workers import start_worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PARAMETERS = 25_069_534
MOST_MEMORY = 3.5e9  # bytes resident in the worker; 2.25e9 (cma_es) and 2.47e9 (genetic) were measured
FEW = {"families": {"recall": [2]}, "items": 10, "test_items": 10, "layer_items": 4, "batch": 16}


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trunk of random weights, and three branches of it. Their tokenizer needs few of the 32,000 rows."""
    home = tmp_path_factory.mktemp("full") / "home"
    trunk = TitanForCausalLM(TitanConfig.preset("full"))
    pico.save(trunk, home / "mine" / "trunk")
    for number, name in enumerate(SPECIALISTS):
        branch = TitanForCausalLM(trunk.config)
        branch.load_state_dict(trunk.state_dict())
        pico.save(pico.with_noise(branch, number, share=0.05), home / "mine" / name)
    return home


@pytest.mark.parametrize("algorithm", ["cma_es", "genetic"])
def test_three_generations(full_size: Path, algorithm: str) -> None:
    changes = {"algorithm": algorithm, "generations": 3, "parameters": PARAMETERS, "evaluation": FEW}
    run = ask(full_size, f"full-{algorithm}", family(full_size), **changes)
    began = time.monotonic()
    _, _, used = os.wait4(start_worker(run.run).pid, 0)
    seconds = time.monotonic() - began
    summary = RunSummary.of_log(run.run.log_path)
    assert summary.state == "RUN_STATE_SUCCEEDED", run.run.worker_log_path.read_text()
    with safe_open(run.output / "model.safetensors", "numpy") as file:
        assert sum(int(file.get_tensor(name).size) for name in file.keys()) == PARAMETERS  # noqa: SIM118
    held = used.ru_maxrss * 1024
    print(f"\n{algorithm}, 3 generations of 8 at {PARAMETERS:,} parameters: {seconds:.0f} s, {held / 1e9:.2f} GB")
    assert len(run.record["evolution_log"]["best_fitness_per_gen"]) == 4
    assert held < MOST_MEMORY
