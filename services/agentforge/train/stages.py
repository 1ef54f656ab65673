"""The stages of one phase in turn, with one row of checkpoints: a kill at any instant loses no finished stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.train import state
from agentforge.train.loop import Training

Curve = list[dict[str, float]]


@dataclass(frozen=True)
class Finished:
    tensors: dict[str, Tensor]
    counters: dict[str, Any]  # what Training.counters gave at the end

    @property
    def curve(self) -> Curve:
        found: Curve = self.counters["curve"]
        return found


class Stages:
    """`plan` says how many steps each stage has at most, in their order; `tokenizer` is the digest of whose ids."""

    def __init__(self, context: PhaseContext, plan: Mapping[str, int], tokenizer: str) -> None:
        self.context, self.plan, self.tokenizer = context, dict(plan), tokenizer
        self.finished: dict[str, Finished] = {}
        self._begun: tuple[str, Path] | None = None  # a stage to go on with, and where its state is
        checkpoint = context.checkpoints.latest()
        if checkpoint is not None:
            self._load(checkpoint.path)
            context.log(f"goes on from step {checkpoint.step} of {sum(plan.values())}")

    def run(self, name: str, make: Callable[[], Training]) -> Finished:
        """Train a stage, or go on with it, or take what is finished."""
        if name not in self.finished:
            training = make()
            if self._begun is not None and self._begun[0] == name:
                training.load(self._begun[1])
            training.run(_StageContext(self, name))
            if training.best_step is not None:
                self.context.log(f"{name} is that of step {training.best_step}; it trained for {training.step}")
            tensors = {key: tensor.clone() for key, tensor in state.own_tensors(training.model).items()}
            self.finished[name] = Finished(tensors, training.counters())
            self.save(self._before(name) + self.plan[name], lambda directory: None, "")
        return self.finished[name]

    def save(self, step: int, write: Callable[[Path], None], name: str) -> None:
        """A checkpoint of all finished stages, and of the one at work, if any."""

        def write_all(directory: Path) -> None:
            for stage, finished in self.finished.items():
                state.save_tensors(directory / f"{stage}.safetensors", finished.tensors)
            counters = {stage: finished.counters for stage, finished in self.finished.items()}
            record = {"counters": counters, "begun": name, "tokenizer": self.tokenizer}
            state.save_json(directory / "stages.json", record)
            if name:
                (directory / "begun").mkdir()
                write(directory / "begun")

        self.context.checkpoints.save(step, write_all)

    def _load(self, directory: Path) -> None:
        record: dict[str, Any] = state.load_json(directory / "stages.json")
        if record.get("tokenizer") != self.tokenizer:
            message = "the checkpoint was made with another tokenizer than this text and this installation make"
            step = "Resume with the Python and the tokenizers package that began the run, or start a new run."
            field = str(directory / "stages.json")
            raise FailedPrecondition(message, reason="TOKENIZER_MISMATCH", field=field, next_step=step)
        for stage, counters in record["counters"].items():
            self.finished[stage] = Finished(state.load_tensors(directory / f"{stage}.safetensors"), counters)
        if record["begun"]:
            self._begun = (record["begun"], directory / "begun")

    def _before(self, name: str) -> int:
        names = list(self.plan)
        return sum(self.plan[each] for each in names[: names.index(name)])


class _StageContext:
    """What the loop of one stage sees: its own steps from 0, put into the run's."""

    def __init__(self, stages: Stages, name: str) -> None:
        self._stages, self._name, self._offset = stages, name, stages._before(name)

    @property
    def checkpoints(self) -> _StageContext:
        return self

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        self._stages.save(self._offset + step, write, self._name)

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
        whole = sum(self._stages.plan.values())
        self._stages.context.progress(self._offset + done, whole, unit, message or self._name)

    def measure(self, measurement: Measurement) -> None:
        self._stages.context.measure(measurement)

    def log(self, message: str, level: str = "info") -> None:
        self._stages.context.log(message, level)

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        self._stages.context.check_stop(save)
