"""The four stages of one schedule: warm-up, acceleration, consolidation, refinement."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.phase5_training.configs.pace import PaceConfig

WARMUP, ACCELERATION, CONSOLIDATION, REFINEMENT = STAGES = ("warmup", "acceleration", "consolidation", "refinement")

# A ramp ends where it was planned to, and the end of the last stage is that of the training: patience may cut it.
_EARLY = (ACCELERATION, CONSOLIDATION)


@dataclass(frozen=True, slots=True)
class Beat:
    """What holds in one step: its stage, and what the learning rate and Grokfast's lamb are multiplied with."""

    stage: str
    rate: float
    grokfast: float


class Pace:
    """Of one training. Its state is where stages ended early, and what the one at work has seen."""

    def __init__(self, config: PaceConfig) -> None:
        self.config = config
        self._ended: dict[str, int] = {}  # stages that ended early, and at which step
        self._stage = ""  # that the next two are of
        self._best: float | None = None  # the loss from which a fall counts
        self._waited = 0  # evaluations since then

    def at(self, step: int, steps: int) -> Beat:
        """`step` counts from 0, so the last one is steps - 1."""
        ends = self.ends(steps)
        place = bisect_right(ends, step)
        begin, end = ends[place - 1] if place else 0, ends[place]
        stage, share = self.config.stages[place], 1.0
        if STAGES[place] == WARMUP:  # the first step already learns
            share = (step - begin + 1) / (end - begin)
        elif STAGES[place] == REFINEMENT:  # the last step still does
            floor = self.config.refinement.floor
            share = floor + (1 - floor) * (end - step) / (end - begin)
        return Beat(STAGES[place], stage.rate * share, stage.grokfast)

    def ends(self, steps: int) -> list[int]:
        """The first step after each stage: the nearest to its share (of two, the even one), none without a step.

        What a stage that ended early leaves is shared out among those after it as their shares are to each other.
        """
        if steps < len(STAGES):
            message = f"{steps} steps cannot be divided into {len(STAGES)} stages of a step or more"
            raise InvalidInput(message, reason="TOO_FEW_STEPS", field="train.steps", next_step="Take more steps.")
        found: list[int] = []
        begin, done, total = 0, 0.0, 0.0  # the last early end, the shares before it, and those so far
        for place, (name, stage) in enumerate(zip(STAGES, self.config.stages, strict=True)):
            total += stage.share
            if name in self._ended:
                begin, done = self._ended[name], total
                found.append(begin)
                continue
            end = begin + round((steps - begin) * (total - done) / (1 - done))
            least = (found[-1] if found else 0) + 1
            found.append(min(max(end, least), steps - (len(STAGES) - 1 - place)))
        return found

    def observe(self, step: int, steps: int, loss: float) -> bool:
        """A validation loss after `step` steps. True: it ends the stage; the step `step` is of the next."""
        stage = self.at(step - 1, steps).stage
        if self.config.boundaries == "progress" or stage not in _EARLY or step in self.ends(steps):
            return False
        if stage != self._stage:
            self._stage, self._best, self._waited = stage, None, 0
        if self._best is None or self._best - loss > self.config.fall:
            self._best, self._waited = loss, 0
            return False
        self._waited += 1
        if self._waited < self.config.evaluations:
            return False
        self._ended[stage] = step
        return True

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"ended": dict(self._ended), "stage": self._stage, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._ended, self._stage = dict(state["ended"]), state["stage"]
        self._best, self._waited = state["best"], state["waited"]
