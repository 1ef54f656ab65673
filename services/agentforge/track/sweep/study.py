"""The memory of a sweep, and what it tries next: Optuna on a journal on the volume.

What trial n tries depends on the seed, on n and on what the trials before came to, and on nothing else. So a sweep
that was killed at any instant and goes on tries the same as one that was not.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentforge.kit.errors import MissingTool
from agentforge.track.sweep.file import SweepFile
from agentforge.track.sweep.space import Parameter

if TYPE_CHECKING:
    import optuna

    Distribution = optuna.distributions.BaseDistribution


class Study:
    """Only for who holds the sweep's LOCK: the journal has no lock of its own."""

    def __init__(self, path: Path, sweep: SweepFile) -> None:
        if importlib.util.find_spec("optuna") is None:
            step = "pip install 'optuna>=4.2'; the extra evomerge brings it"
            raise MissingTool("sweeps need Optuna, and it is not installed", field="optuna", next_step=step)
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        _mend(path)
        self._sweep = sweep
        self._space = {one.name: _distribution(one) for one in sweep.parameters}
        self._direction: Literal["maximize", "minimize"] = "maximize" if sweep.maximize else "minimize"
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path), lock_obj=_no_lock())),
            study_name="sweep",
            direction=self._direction,
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(0),  # never asked: see _suggest
            pruner=_pruner(sweep),
        )

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def next(self) -> int:
        """The number of the trial to run now: one that was interrupted, else a new one."""
        import optuna

        trials = self.trials
        for trial in trials:
            if trial.state is optuna.trial.TrialState.RUNNING:
                return trial.number
        # In one write: a trial is in the journal with all its parameters, or not at all.
        state = optuna.trial.TrialState.RUNNING
        params = self._suggest(len(trials))
        self._study.add_trial(optuna.trial.create_trial(state=state, params=params, distributions=self._space))
        return len(trials)

    def values(self, number: int) -> dict[str, Any]:
        """Config field to value."""
        params = self.trials[number].params
        return {
            one.name: json.loads(params[one.name]) if one.choices else params[one.name]
            for one in self._sweep.parameters
        }

    def report(self, number: int, step: int, value: float) -> bool:
        """A value on the way; whether the trial should be stopped for it."""
        import optuna

        if self._sweep.pruning is None:
            return False
        trial = optuna.trial.Trial(self._study, self.trials[number]._trial_id)
        if step not in self.trials[number].intermediate_values:
            trial.report(value, step)
        return trial.should_prune()

    def tell(self, number: int, value: float | None, *, pruned: bool = False, **notes: Any) -> None:
        """How the trial ended; without a value it failed or was stopped."""
        import optuna

        states = optuna.trial.TrialState
        own = self.trials[number]._trial_id
        for name, note in notes.items():
            self._study._storage.set_trial_user_attr(own, name, note)
        state = states.PRUNED if pruned else states.FAIL if value is None else states.COMPLETE
        self._study.tell(number, value if state is states.COMPLETE else None, state=state)

    def grid_size(self) -> int | None:
        if self._sweep.method != "grid":
            return None
        return math.prod(len(one.grid()) for one in self._sweep.parameters)

    def _suggest(self, number: int) -> dict[str, Any]:
        import optuna

        if self._sweep.method == "grid":
            combination = next(itertools.islice(self._grid(), number, None))
            pairs = zip(self._sweep.parameters, combination, strict=True)
            return {one.name: _encoded(one, value) for one, value in pairs}
        seed = int.from_bytes(hashlib.sha256(f"sweep\n{self._sweep.seed}\n{number}".encode()).digest()[:4])
        samplers = optuna.samplers
        sampler = samplers.TPESampler(seed=seed) if self._sweep.method == "tpe" else samplers.RandomSampler(seed)
        memory = optuna.create_study(sampler=sampler, direction=self._direction)
        memory.add_trials([trial for trial in self.trials if trial.state.is_finished()])
        return memory.ask(self._space).params

    def _grid(self) -> Iterator[tuple[Any, ...]]:
        return itertools.product(*(one.grid() for one in self._sweep.parameters))


def _distribution(one: Parameter) -> Distribution:
    from optuna import distributions

    if one.choices:  # as JSON, since Optuna takes scalars alone
        return distributions.CategoricalDistribution([_encoded(one, choice) for choice in one.choices])
    if one.whole:
        return distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return distributions.FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _encoded(one: Parameter, value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if one.choices else value


def _pruner(sweep: SweepFile) -> Any:
    import optuna

    given = sweep.pruning
    if given is None:
        return optuna.pruners.NopPruner()
    if given.kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=given.first_step)
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=given.first_step, reduction_factor=given.eta)


def _no_lock() -> Any:
    """Optuna's own would outlive a killed process; the sweep's flock does not."""
    from optuna.storages.journal import JournalFileSymlinkLock

    class Held(JournalFileSymlinkLock):
        def __init__(self) -> None:
            pass

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    return Held()


def _mend(path: Path) -> None:
    """Cut off a last line that a killed process left unfinished: Optuna would refuse the file."""
    if path.exists():
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)
