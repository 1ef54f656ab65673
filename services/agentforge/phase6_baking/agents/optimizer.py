"""ModelOptimizer: the training itself, in the worker's own process, with the run's checkpoints."""

from __future__ import annotations

from collections.abc import Callable

from agentforge.kit import ranks
from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.context import PhaseContext, RunStopped
from agentforge.phase6_baking.agents import weights
from agentforge.phase6_baking.rounds import bake
from agentforge.phase6_baking.start import Start


class Leader:
    """The context as agents see it: other ranks are not asked whether to stop, for they wait for the training."""

    def __init__(self, context: PhaseContext) -> None:
        self._context = context
        self.progress, self.measure = context.progress, context.measure
        self.log, self.sample = context.log, context.sample

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        if self._context.stop_requested:
            raise RunStopped


class Crew:
    """All ranks train; the first alone leads the agents, and says whether there is anything left to train."""

    def __init__(self, context: PhaseContext, start: Start) -> None:
        self._context, self._start, self._called = context, start, False

    def optimise(self, task: Task) -> Outcome:
        self._called = True
        ranks.current().share(True)
        found = bake(self._context, self._start)
        told = {"rounds": found.scores, "curves": found.curves}
        weights.write(task.directory / "weights", found.teacher, found.weights, told)
        return Outcome(facts={"trainings": sorted(found.curves)})

    def follow(self) -> None:
        if ranks.current().share(None):
            bake(self._context, self._start)

    def dismiss(self) -> None:
        """After a resume that found the weights made."""
        if not self._called:
            ranks.current().share(False)
