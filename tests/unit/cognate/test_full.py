"""The full preset in real processes: killed in the middle, it ends with the digests of a run that was not.

Only steps, batch and lengths of text are small; the model is the preset's own, 25,069,534 parameters.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors import safe_open

import agentforge
from agentforge.kit.config import resolved, validate_config
from agentforge.kit.phase import load_object
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.kit.serve.validate import merged
from agentforge.kit.state import RunSummary
from agentforge.phase1_cognate.config import SPECIALISTS
from tests.unit.cognate.phases import ENTRY, OUTPUTS, digests
from tests.workers import kill_when, start_worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PARAMETERS = 25_069_534
STEPS = {"trunk": 20} | dict.fromkeys(SPECIALISTS, 4)
FEW = {"batch": 1, "warmup": 2, "threads": 1}
KILLED_AT = 20 + 4 + 3  # steps: two stages are finished, and the third has its checkpoint of step 2
MOST_MEMORY = 4 << 30  # bytes resident in the worker


def few_steps() -> dict[str, Any]:
    preset = yaml.safe_load((Path(agentforge.__file__).parent / "presets" / "full.yaml").read_text())["cognate"]
    short = {
        "data": {"text_length": 32},
        "evaluation": {"items": 10, "texts": 1, "text_bytes": 200},
        "trunk": {"train": {**FEW, "steps": STEPS["trunk"], "checkpoint_every": 8}},
        **{name: {"train": {**FEW, "steps": STEPS[name], "checkpoint_every": 2}} for name in SPECIALISTS},
    }
    return merged(preset, short)


def asked(home: Path, run_id: str) -> RunDirectory:
    home.mkdir(exist_ok=True)
    spec = load_object(ENTRY)
    run = RunDirectory(home, run_id, spec.name)
    values = resolved(validate_config(spec.config, few_steps()))
    run.create(RunRequest(run_id, spec.name, (), values, spec.code_digest, ENTRY))
    return run


def finish(run: RunDirectory) -> int:
    """To the end; the most bytes that the worker held."""
    worker = start_worker(run)
    _, _, used = os.wait4(worker.pid, 0)
    assert RunSummary.of_log(run.log_path).state == "RUN_STATE_SUCCEEDED", run.worker_log_path.read_text()
    return used.ru_maxrss * 1024


def parameters(directory: Path) -> int:
    with safe_open(directory / "model.safetensors", "numpy") as file:
        return sum(int(file.get_tensor(name).size) for name in file.keys())  # noqa: SIM118 - no mapping


def test_killed_in_the_middle_the_full_model_ends_with_the_same_digests(tmp_path: Path) -> None:
    whole = asked(tmp_path / "home", "whole")
    held = finish(whole)
    assert sorted(digests(whole)) == sorted(OUTPUTS)
    assert {parameters(whole.output_path / name) for name in OUTPUTS} == {PARAMETERS}
    print(f"\nthe most memory that the worker held: {held / (1 << 30):.2f} GiB")
    assert held < MOST_MEMORY

    killed = asked(whole.home, "killed")
    kill_when(killed, lambda record: record.get("progress", {}).get("done", 0) >= KILLED_AT, timeout_s=900)
    assert killed.done() is None
    finish(killed)
    assert digests(killed) == digests(whole)
