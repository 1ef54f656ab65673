"""Runs of the phase on pico models of one trunk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.artifacts import describe
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.refs import ArtifactRef
from tests import pico
from tests.attempts import Attempt, Fate, Record

ENTRY = "agentforge.phase2_evomerge.config:PHASE"
FAMILIES = {"recall": [2], "nested": [2]}
SPECIALISTS = {"recalls": ["recall"], "nests": ["nested"], "both": ["recall", "nested"]}
THRESHOLDS = {"recalls": 0.95, "nests": 0.9, "both": 0.99}


def small(**changes: Any) -> Record:
    """A run of about a second."""
    evaluation = {"families": FAMILIES, "items": 20, "test_items": 24, "layer_items": 6, "batch": 64}
    common = {"parameters": None, "generations": 3, "patience": 0, "threads": 1, "evaluation": evaluation}
    return common | changes


def make_family(home: Path) -> None:
    """A trunk that was trained a little on two families, and three branches of it: home/mine/NAME."""
    start = {"num_hidden_layers": 2}
    everything = [(name, 2) for name in FAMILIES]
    trunk = pico.trained(pico.titan(**start), everything, 80, seed=1)
    pico.save(trunk, home / "mine" / "trunk")
    for name, families in SPECIALISTS.items():
        branch = pico.titan(**start, act_threshold=THRESHOLDS[name])
        branch.load_state_dict(trunk.state_dict())
        pico.trained(branch, [(each, 2) for each in families], 20, seed=2)
        pico.save(branch, home / "mine" / name)


def given(home: Path, *names: str, trunk: str = "") -> tuple[ArtifactRef, ...]:
    """What lies under home/mine as inputs of a run."""
    found = [describe(home, f"mine/{trunk}", "trunk", "trunk")] if trunk else []
    return (*found, *(describe(home, f"mine/{name}", name, "model") for name in names))


def family(home: Path) -> tuple[ArtifactRef, ...]:
    return given(home, *SPECIALISTS, trunk="trunk")


class Merging(Attempt):
    def people(self) -> dict[str, Record]:
        """Every child that there was, by name: its origin and its fitness."""
        last = Checkpoints(self.run.checkpoints_path).latest()
        assert last is not None
        found: dict[str, Record] = json.loads((last.path / "evolution.json").read_bytes())["log"]["people"]
        return found

    @property
    def weights(self) -> bytes:
        return (self.output / "model.safetensors").read_bytes()

    @property
    def record(self) -> Record:
        found: Record = json.loads((self.output / "evomerge.json").read_bytes())
        return found

    @property
    def digest(self) -> str:
        """Of the whole directory."""
        path = self.output.relative_to(self.run.home).as_posix()
        return describe(self.run.home, path, "champion", "model").sha256


def ask(home: Path, run_id: str, refs: Sequence[ArtifactRef] = (), **changes: Any) -> Merging:
    return Merging.asked(ENTRY, home, run_id, refs or family(home), small(**changes))


def at_generation(number: int, error: BaseException) -> Fate:
    """Ends the run when it tells of this generation, which is before its checkpoint is written."""

    def fate(name: str, payload: Record) -> None:
        if name == "sample" and payload["data"]["generation"] == number:
            raise error

    return fate
