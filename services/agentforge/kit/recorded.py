"""Recorded trials: raw results on disk. Rows are never stored but derived each time, so they can be checked."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit.digests import digest_code, digest_json
from agentforge.kit.errors import DataLoss
from agentforge.kit.evidence import Experiment, Row, Trial, claims
from agentforge.kit.files import write_atomic
from agentforge.kit.paths import home
from agentforge.kit.phase import PhaseSpec


@dataclass(frozen=True)
class Record:
    """All trials of one experiment, by key: {"arguments", "seconds", "code", "result"}; `code` is a digest."""

    phase: str
    experiment: str
    date: str  # when the last trial ended
    version: str
    machine: dict[str, Any]
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """None where there is no file."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            step = "Restore the file, or remove it and measure again with --rerun."
            message = f"{path} is no record of an experiment: {error}"
            raise DataLoss(message, reason="RECORD_DAMAGED", field=str(path), next_step=step) from error

    def write(self, path: Path) -> None:
        """Whole or not at all, one trial a line."""
        head = {name: value for name, value in vars(self).items() if name != "trials"}
        lines = [f"    {json.dumps(key)}: {json.dumps(trial)}" for key, trial in self.trials.items()]
        text = json.dumps(head, indent=2)[:-2] + ',\n  "trials": {\n' + ",\n".join(lines) + "\n  }\n}\n"
        write_atomic(path, text.encode())

    def is_of(self, trials: Sequence[Trial]) -> bool:
        """Whether exactly these trials are in it."""
        asked = {trial.key: plain(trial.arguments) for trial in trials}
        return asked == {key: trial["arguments"] for key, trial in self.trials.items()}

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        return {key: trial["result"] for key, trial in self.trials.items()}

    @property
    def codes(self) -> list[str]:
        """Digests of the code that the trials were measured with: one, unless files were changed meanwhile."""
        return sorted({trial["code"] for trial in self.trials.values()})

    @property
    def seconds(self) -> float:
        return float(sum(trial["seconds"] for trial in self.trials.values()))


@dataclass(frozen=True)
class Evidence:
    """One experiment as it stands: rows that claim something, and the record that they come from."""

    phase: str
    experiment: Experiment
    rows: list[Row]
    record: Record | None  # None: not measured yet

    @property
    def command(self) -> str:
        return f"agentforge evidence {self.phase} --rerun --only {self.experiment.name}"


def evidence(spec: PhaseSpec, experiment: Experiment, places: Sequence[Path] = ()) -> Evidence:
    """Rows from the newest record, in `places` or else in the usual ones, that is of today's trials."""
    module = experiment.load()
    trials = module.trials()
    there = [Record.read(place) for place in places or (packaged_place(experiment), own_place(spec, experiment))]
    records = [record for record in there if record is not None]
    fitting = [record for record in records if record.is_of(trials)]
    if fitting:
        record = max(fitting, key=lambda each: each.date)
        return Evidence(spec.name, experiment, claims(module.rows(record.results)), record)
    why = "not measured yet" + (": what is recorded are other trials" if records else "")
    row = Row(experiment.summary, "a record of measurements", None, "1", 0, None, "not reached", why)
    return Evidence(spec.name, experiment, [row], None)


def plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives them back: tuples are lists."""
    back: dict[str, Any] = json.loads(json.dumps(dict(arguments)))
    return back


def packaged_place(experiment: Experiment) -> Path:
    """Beside the module: what comes with the code."""
    return _source(experiment.module).parent / "recorded" / f"{experiment.name}.json"


def own_place(spec: PhaseSpec, experiment: Experiment) -> Path:
    """On the volume: what was measured where the package itself must not be written."""
    return home() / "evidence" / spec.name / f"{experiment.name}.json"


def code_digest(spec: PhaseSpec, experiment: Experiment) -> str:
    """Of everything that decides the numbers: the phase, the experiment's module and what it imports beside it."""
    package, todo, found = experiment.module.rpartition(".")[0], [experiment.module], set[str]()
    while todo:
        name = todo.pop()
        found.add(name)
        for node in ast.walk(ast.parse(_source(name).read_bytes())):
            if isinstance(node, ast.ImportFrom):
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                names = {base, *(f"{base}.{alias.name}" for alias in node.names)}
                todo += [each for each in names - found if _is_beside(package, each)]
    return digest_json([spec.code_digest, digest_code(*sorted(found))])


def machine() -> dict[str, Any]:
    """What times depend on, read without guessing; null where the system does not say."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "torch": _version("torch"),
    }


def version() -> str:
    return _version("agentforge") or "not installed"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no module {module!r}")
    return Path(spec.origin)


def _is_beside(package: str, name: str) -> bool:
    """Whether the name is a module of this very package."""
    return name.rpartition(".")[0] == package and importlib.util.find_spec(name) is not None
