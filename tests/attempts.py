"""Attempts at runs of a real phase, in this process, with a real context, run directory and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest

from agentforge.kit.artifacts import describe
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.config import resolved, validate_config
from agentforge.kit.context import PhaseContext, StopRequest
from agentforge.kit.errors import InvalidInput
from agentforge.kit.inputs import Inputs
from agentforge.kit.phase import PhaseSpec, load_object
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory, RunRequest
from tests import pico

Record = dict[str, Any]
Fate = Callable[[str, Record], None]
"""Hears the name and payload of every event before the phase goes on, and may end the run."""


class Killed(BaseException):
    """As sudden as SIGKILL: nothing of the phase catches it."""


def unharmed(name: str, payload: Record) -> None:
    return


@dataclass
class Attempt:
    """One go at a run. `heard` is all that the phase said."""

    run: RunDirectory
    spec: PhaseSpec
    config: Any
    refs: Sequence[ArtifactRef]
    attempt: int = 1
    stop: StopRequest = field(default_factory=StopRequest)
    heard: list[tuple[str, Record]] = field(default_factory=list)

    @classmethod
    def asked(cls, entry: str, home: Path, run_id: str, refs: Sequence[ArtifactRef], values: Record) -> Self:
        """As a service asks, the check of the inputs included. `entry`: the "module:NAME" of the phase's spec."""
        spec: PhaseSpec = load_object(entry)
        config = validate_config(spec.config, values)
        inputs = Inputs.verified(home, spec.takes, refs)
        given = [each for slot in spec.takes for each in inputs.many(slot.name)]
        if violations := load_object(spec.check)(config, given):
            raise InvalidInput.of(violations)
        run = RunDirectory(home, run_id, spec.name)
        run.create(RunRequest(run_id, spec.name, tuple(refs), resolved(config), spec.code_digest, entry))
        return cls(run, spec, config, refs)

    def context(self, fate: Fate = unharmed) -> PhaseContext:
        def append(name: str, payload: Mapping[str, Any], attempt: int) -> None:
            json.dumps(payload, allow_nan=False)  # as the event log does: it refuses NaN and infinity
            self.heard.append((name, dict(payload)))
            fate(name, dict(payload))

        inputs = Inputs.verified(self.run.home, self.spec.takes, self.refs)
        seed, scratch = self.config.seed, self.run.scratch_path
        return PhaseContext(self.run, self.spec, seed, inputs, append, self.attempt, self.stop, {}, scratch)

    def go(self, fate: Fate = unharmed) -> Self:
        self.spec.load_run()(self.context(fate), self.config)
        return self

    def again(self) -> Self:
        """The next attempt at the same run, in a fresh context."""
        return replace(self, attempt=self.attempt + 1, stop=StopRequest(), heard=[])

    def killed_at_checkpoints(self, steps: Iterable[int]) -> Self:
        """Each time killed right after its next checkpoint, which must be of this step."""
        run, original = self, Checkpoints.save

        def save(checkpoints: Checkpoints, step: int, write: Callable[[Path], None]) -> object:
            original(checkpoints, step, write)
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "save", save)
            for step in steps:
                with pytest.raises(Killed):
                    run.go()
                assert Checkpoints(run.run.checkpoints_path).newest_step() == step
                run = run.again()
        return run

    @property
    def output(self) -> Path:
        """The first that the phase makes."""
        return self.run.output_path / self.spec.makes[0].name

    @property
    def files(self) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in sorted(self.output.iterdir())}

    def values(self, name: str) -> list[float]:
        """A measurement's values in the order in which they were told."""
        return [said["value"] for kind, said in self.heard if kind == "measurement" and said["name"] == name]

    def names(self) -> set[str]:
        return {said["name"] for kind, said in self.heard if kind == "measurement"}

    def samples(self, name: str) -> list[Record]:
        return [said["data"] for kind, said in self.heard if kind == "sample" and said["name"] == name]

    def logs(self) -> str:
        return "\n".join(said["message"] for kind, said in self.heard if kind == "log")


def with_changes(config: Record, changes: Record) -> Record:
    """`changes` of a part leave the rest of it; None is no part, but its absence."""
    merged = dict(config)
    for name, value in changes.items():
        of_part = isinstance(merged.get(name), dict) and isinstance(value, dict)
        merged[name] = {**merged[name], **value} if of_part else value
    return merged


def make_volume(place: Path) -> Path:
    """A volume with two models under mine/: a Titan with its memory and halting, and a Llama."""
    home = place / "home"
    home.mkdir()
    titan = pico.titan(memory=True, memory_layers=[0], memory_chunk=8, memory_slots=32, act=True)
    pico.save(pico.with_noise(titan, 1), home / "mine/titan")
    pico.save(pico.llama(), home / "mine/llama")
    return home


def given_model(home: Path, model: str) -> ArtifactRef:
    """For phases that take one. `model`: under home/mine, or a path below home."""
    return describe(home, model if "/" in model else f"mine/{model}", "model", "model")
