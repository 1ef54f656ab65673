"""What a search has found so far, in the run's checkpoints: a kill loses one candidate of each rank at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from agentforge.kit.audience import Audience
from agentforge.kit.checkpoints import Checkpoint
from agentforge.kit.errors import DataLoss
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.search.confirm import Verdict
from agentforge.phase7_adas.search.evaluate import Trial
from agentforge.phase7_adas.search.front import Latency
from agentforge.shrink.asking import Genes
from agentforge.train.state import load_json, save_json

_FILE, _FINAL = "search.json", "final"


class Saver(Protocol):
    def save(self, step: int, write: Callable[[Path], None]) -> object: ...
    def latest(self) -> Checkpoint | None: ...


class Context(Audience, Protocol):
    """What the search needs of a kit.context.PhaseContext."""

    @property
    def seed(self) -> int: ...
    @property
    def checkpoints(self) -> Saver: ...


class Diary:
    """`final`: where the state of the last training is, once it has begun."""

    def __init__(self, context: Context, trials: int) -> None:
        self._context, self._expected = context, trials
        self._read: list[Trial] = []  # of an earlier attempt
        self.trials: list[Trial] = []
        self.latencies: dict[int, Latency] | None = None  # measured once: a choice that hangs on it must not change
        self.verdicts: dict[int, Verdict] = {}  # of finalists, by number
        self.final: Path | None = None
        found = context.checkpoints.latest()
        if found is not None and (found.path / _FILE).is_file():
            self._load(found.path)
            context.log(f"goes on after {len(self._read)} candidates")

    def known(self, number: int, genes: Genes) -> Trial | None:
        """What an earlier attempt found for the candidate of this number."""
        if number >= len(self._read):
            return None
        found = self._read[number]
        if found.genes != genes:
            message = f"candidate {number} of the checkpoint is {found.genes}; this installation asks for {genes}"
            step = "Resume with the Optuna and the config that began the run, or start a new run."
            raise DataLoss(message, reason="CHECKPOINT_MISMATCH", field=_FILE, next_step=step)
        return replace(found, genes=genes)  # in the order of the space, as without a kill

    def save(self) -> None:
        self._context.checkpoints.save(self.saves, self._write)

    @property
    def saves(self) -> int:
        """So many parts of the search are done; steps of the last training come after them."""
        return len(self.trials) + len(self.verdicts)

    def latency(self, found: dict[int, Latency]) -> None:
        self.latencies = found
        self.save()

    def _write(self, directory: Path) -> None:
        latencies = None
        if self.latencies is not None:
            latencies = {str(number): asdict(one) for number, one in self.latencies.items()}
        verdicts = {str(number): asdict(one) for number, one in self.verdicts.items()}
        trials = [one.record for one in self.trials]
        save_json(directory / _FILE, {"trials": trials, "latencies": latencies, "verdicts": verdicts})

    def _load(self, directory: Path) -> None:
        record: dict[str, Any] = load_json(directory / _FILE)
        self._read = [Trial.of_record(one) for one in record["trials"]]
        if record["latencies"] is not None:
            self.latencies = {int(number): Latency(**one) for number, one in record["latencies"].items()}
        self.verdicts = {int(number): Verdict(**one) for number, one in record["verdicts"].items()}
        self.final = directory / _FINAL if (directory / _FINAL).is_dir() else None


class FinalContext:
    """What the loop of the last training sees: its steps come after the candidates in the run's checkpoints."""

    def __init__(self, context: Context, diary: Diary) -> None:
        self._context, self._diary = context, diary

    @property
    def checkpoints(self) -> FinalContext:
        return self

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        def write_all(directory: Path) -> None:
            self._diary._write(directory)
            (directory / _FINAL).mkdir()
            write(directory / _FINAL)

        self._context.checkpoints.save(self._diary.saves + step, write_all)

    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
        self._context.progress(done, total, unit, message or "healing of the chosen one")

    def measure(self, measurement: Measurement) -> None:
        self._context.measure(measurement)

    def log(self, message: str, level: str = "info") -> None:
        self._context.log(message, level)

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        self._context.check_stop(save)


def table(trials: list[Trial], latencies: Mapping[int, Latency]) -> list[dict[str, Any]]:
    """For a sample: a front in a few columns."""
    return [
        {
            "number": one.number, **one.genes, "accuracy": round(one.worth.accuracy, 4),
            "nats": round(one.worth.nats, 4), "parameters": one.cost.parameters, "bytes": one.cost.bytes,
            "flops": one.cost.flops,
            **({"latency": round(latencies[one.number].ratio, 3)} if one.number in latencies else {}),
        }
        for one in trials
    ]  # fmt: skip
