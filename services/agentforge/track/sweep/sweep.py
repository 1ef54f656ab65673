"""The sweep itself: trial after trial, each an ordinary run, until there are as many as were asked for."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.digests import digest_json
from agentforge.kit.errors import AlreadyExists, FailedPrecondition, InvalidInput
from agentforge.kit.files import disk_errors, make_directories, write_atomic
from agentforge.kit.paths import check_name
from agentforge.track.sweep.file import SweepFile
from agentforge.track.sweep.study import Study

_LONGEST_NAME = 50  # so that "sweep-NAME-0000" is a run id

OnValue = Callable[[int, float], bool]
"""Takes a step and a value measured at it; says whether to stop the trial."""


@dataclass(frozen=True)
class Ended:
    """How a trial's run ended. `measured`: the last value of each measurement."""

    state: str
    measured: Mapping[str, float]
    error: str = ""


RunTrial = Callable[[str, dict[str, Any], OnValue], Ended]
"""Takes a run id, the config's fields (nested) and what hears of values on the way."""


class Sweep:
    """sweeps/NAME/ on the volume: sweep.json (what was asked), journal.log, best.yaml."""

    def __init__(self, home: Path, sweep: SweepFile, target: str, asked: Mapping[str, Any]) -> None:
        check_name(sweep.name, "name")
        if len(sweep.name) > _LONGEST_NAME:
            raise InvalidInput(f"the sweep's name has more than {_LONGEST_NAME} characters", field="name")
        self.path = home / "sweeps" / sweep.name
        self.file = sweep
        self.target = target
        self._home = home
        # How many trials is no part of it: more can be asked for later.
        plain = {**asdict(sweep), "config": dict(sweep.config)} | {"trials": None}
        self._asked = json.loads(json.dumps({"target": target, "sweep": plain, **asked}, allow_nan=False))

    def run(
        self, run_trial: RunTrial, on_trial: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> dict[str, Any]:
        """Until all trials have ended; what it came to. Goes on where one of this name stopped."""
        with disk_errors(self.path):
            make_directories(self.path, self._home)
        with self._alone():
            self._check_same()
            study = Study(self.path / "journal.log", self.file)
            grid = study.grid_size()
            wanted = self.file.trials if grid is None else min(grid, self.file.trials)
            while sum(trial.state.is_finished() for trial in study.trials) < wanted:
                number = study.next()
                self._trial(study, number, run_trial)
                on_trial(self.row(study, number))
            return self._outcome(study)

    def run_id(self, number: int) -> str:
        return f"sweep-{self.file.name}-{number:04d}"

    def _trial(self, study: Study, number: int, run_trial: RunTrial) -> None:
        config = nested({**dotted(self.file.config), **study.values(number)})
        stopped: list[int] = []

        def heard(step: int, value: float) -> bool:
            if study.report(number, step, value):
                stopped.append(step)
            return bool(stopped)

        ended = run_trial(self.run_id(number), config, heard)
        if ended.state == "CANCELLED" and not stopped:
            raise KeyboardInterrupt  # its user stopped it: the trial is open, and the next call goes on with it
        value = ended.measured.get(self.file.metric) if ended.state in ("SUCCEEDED", "REUSED") else None
        if value is None and ended.state in ("SUCCEEDED", "REUSED"):
            raise InvalidInput(
                f"the run succeeded and did not measure {self.file.metric!r}",
                reason="UNKNOWN_METRIC",
                field="metric.name",
                next_step=f"It measured: {', '.join(sorted(ended.measured)[:20]) or 'nothing'}.",
            )
        study.tell(number, value, pruned=bool(stopped) and value is None, error=ended.error)

    def row(self, study: Study, number: int) -> dict[str, Any]:
        trial = study.trials[number]
        return {
            "number": number,
            "run_id": self.run_id(number),
            "state": trial.state.name,
            # Of a trial that was stopped Optuna calls the last value on the way its value; it is no result.
            "value": trial.value if trial.state.name == "COMPLETE" else None,
            "params": study.values(number),
            "error": trial.user_attrs.get("error", ""),
        }

    def _outcome(self, study: Study) -> dict[str, Any]:
        rows = [self.row(study, trial.number) for trial in study.trials if trial.state.is_finished()]
        good = [row for row in rows if row["value"] is not None]
        sign = -1 if self.file.maximize else 1
        best = min(good, key=lambda row: (sign * row["value"], row["number"]), default=None)
        outcome = {
            "sweep": self.file.name,
            "target": self.target,
            "metric": self.file.metric,
            "goal": "maximize" if self.file.maximize else "minimize",
            "trials": rows,
            "best": best,
        }
        if best is not None:
            import yaml

            config = nested({**dotted(self.file.config), **best["params"]})
            preset = config if self.target == "pipeline" else {self.target: config}
            head = f"# {self.file.metric} = {best['value']:.6g} in run {best['run_id']}\n"
            write_atomic(self.path / "best.yaml", (head + yaml.safe_dump(preset, sort_keys=True)).encode())
            outcome["best_file"] = str(self.path / "best.yaml")
        return outcome

    def _check_same(self) -> None:
        path = self.path / "sweep.json"
        if not path.exists():
            write_atomic(path, json.dumps(self._asked, indent=1, sort_keys=True).encode() + b"\n")
        elif digest_json(json.loads(path.read_bytes())) != digest_json(self._asked):
            raise AlreadyExists(
                f"sweep {self.file.name!r} exists, and it was asked for something else",
                reason="SWEEP_EXISTS",
                field="name",
                next_step=f"Give the file another `name`, or remove {path.parent}.",
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self.path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                step = "Let it finish, or give the file another `name`."
                message = f"sweep {self.file.name!r} runs already, in another process"
                raise FailedPrecondition(message, reason="SWEEP_LOCKED", field="name", next_step=step) from None
            yield
        finally:
            os.close(descriptor)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    config: dict[str, Any] = {}
    for path in sorted(values):
        *outer, last = path.split(".")
        place = config
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = values[path]
    return config


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = (
            dotted(value, f"{prefix}{name}.")
            if isinstance(value, Mapping) and value
            else {f"{prefix}{name}": value}
        )
        flat.update(inner)
    return flat
