"""The real phase function on pico models, in this process, with a real context, run directory and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit.artifacts import describe
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.config import resolved, validate_config
from agentforge.kit.context import PhaseContext, StopRequest
from agentforge.kit.errors import InvalidInput
from agentforge.kit.inputs import Inputs
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.phase2_evomerge.admission import check
from agentforge.phase2_evomerge.config import PHASE, EvoMergeConfig
from tests import pico

ENTRY = "agentforge.phase2_evomerge.config:PHASE"
FAMILIES = {"recall": [2], "nested": [2]}
SPECIALISTS = {"recalls": ["recall"], "nests": ["nested"], "both": ["recall", "nested"]}
THRESHOLDS = {"recalls": 0.95, "nests": 0.9, "both": 0.99}

Record = dict[str, Any]


class Killed(BaseException):
    """As sudden as SIGKILL: nothing of the phase catches it."""


def small(**changes: Any) -> dict[str, Any]:
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


@dataclass
class Attempt:
    """One go at a run. `heard` is all that the phase said."""

    run: RunDirectory
    config: EvoMergeConfig
    refs: Sequence[ArtifactRef]
    attempt: int = 1
    stop: StopRequest = field(default_factory=StopRequest)
    heard: list[tuple[str, Record]] = field(default_factory=list)

    def go(self, fate: Callable[[str, Record], None] = lambda name, payload: None) -> Attempt:
        """`fate` hears every event first, and may end it."""

        def append(name: str, payload: Mapping[str, Any], attempt: int) -> None:
            json.dumps(payload, allow_nan=False)  # as the event log does: it refuses NaN and infinity
            self.heard.append((name, dict(payload)))
            fate(name, dict(payload))

        inputs = Inputs.verified(self.run.home, PHASE.takes, self.refs)
        context = PhaseContext(
            self.run, PHASE, self.config.seed, inputs, append, self.attempt, self.stop, {}, self.run.scratch_path
        )
        PHASE.load_run()(context, self.config)
        return self

    def again(self) -> Attempt:
        """The next attempt at the same run, in a fresh context."""
        return Attempt(self.run, self.config, self.refs, self.attempt + 1)

    def people(self) -> dict[str, Record]:
        """Every child that there was, by name: its origin and its fitness."""
        last = Checkpoints(self.run.checkpoints_path).latest()
        assert last is not None
        found: dict[str, Record] = json.loads((last.path / "evolution.json").read_bytes())["log"]["people"]
        return found

    @property
    def weights(self) -> bytes:
        return (self.champion / "model.safetensors").read_bytes()

    @property
    def champion(self) -> Path:
        return self.run.output_path / "champion"

    @property
    def record(self) -> Record:
        found: Record = json.loads((self.champion / "evomerge.json").read_bytes())
        return found

    @property
    def digest(self) -> str:
        """Of the whole directory."""
        path = self.champion.relative_to(self.run.home).as_posix()
        return describe(self.run.home, path, "champion", "model").sha256

    def values(self, name: str) -> list[float]:
        """A measurement's values in the order in which they were told."""
        return [said["value"] for kind, said in self.heard if kind == "measurement" and said["name"] == name]

    def names(self) -> set[str]:
        return {said["name"] for kind, said in self.heard if kind == "measurement"}

    def logs(self) -> str:
        return "\n".join(said["message"] for kind, said in self.heard if kind == "log")


def ask(home: Path, run_id: str, refs: Sequence[ArtifactRef] = (), **changes: Any) -> Attempt:
    """Asked for as a service would, the check of the inputs included."""
    config = validate_config(EvoMergeConfig, small(**changes))
    refs = refs or family(home)
    inputs = Inputs.verified(home, PHASE.takes, refs)
    violations = check(config, [each for slot in PHASE.takes for each in inputs.many(slot.name)])
    if violations:
        raise InvalidInput.of(violations)
    run = RunDirectory(home, run_id, PHASE.name)
    run.create(RunRequest(run_id, PHASE.name, tuple(refs), resolved(config), PHASE.code_digest, ENTRY))
    return Attempt(run, config, refs)


def at_generation(number: int, error: BaseException) -> Callable[[str, Record], None]:
    """Ends the run when it tells of this generation, which is before its checkpoint is written."""

    def fate(name: str, payload: Record) -> None:
        if name == "sample" and payload["data"]["generation"] == number:
            raise error

    return fate
