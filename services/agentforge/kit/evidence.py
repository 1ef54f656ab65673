"""What an experiment is, and how raw numbers become rows of the evidence table. Torch-free.

An experiment is a module with three functions:

    trials() -> list[Trial]                                     what is measured: one training run or so each
    measure(**arguments) -> dict[str, Any]                      one trial, really run; raw numbers that JSON holds
    rows(results: Mapping[str, dict[str, Any]]) -> list[Row]    from all raw results (key -> dict) to the table

`rows` is also called to read what is recorded: import torch inside `measure`, so that reading stays quick.
"""

from __future__ import annotations

import importlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

from agentforge.kit.errors import MissingTool
from agentforge.kit.paths import check_name

Verdict = Literal["reached", "not reached", "refuted", "not testable here"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Trial:
    """One measurement: `measure(**arguments)`. Keys are unique in an experiment, as in "ema/42"."""

    key: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One claim against what was measured. `spread`: sample standard deviation over `n` samples; None for one.

    A verdict of None marks a number that is held to no bar. It is no claim: it stands beside the claim before it.
    """

    claim: str
    target: str
    value: float | None
    unit: str  # as in kit.measure: "1" for ratios, "s", "By", "nat", "step"
    n: int
    spread: float | None
    verdict: Verdict | None
    method: str = ""  # how it was measured, in a few words; why not, where it was not
    beside: tuple[Row, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.claim or not self.unit or (self.verdict is not None and not self.target):
            raise ValueError(f"a row needs a claim, a unit and a target: {self!r}")
        if self.verdict is not None and self.verdict not in VERDICTS:
            raise ValueError(f"{self.claim}: there is no verdict {self.verdict!r}")
        if (self.value is None) != (self.n == 0):
            raise ValueError(f"{self.claim}: value {self.value} of {self.n} samples")
        if self.value is None and self.verdict not in ("not testable here", "not reached"):
            raise ValueError(f"{self.claim}: {self.verdict}, but nothing was measured")
        if not all(math.isfinite(number) for number in (self.value, self.spread) if number is not None):
            raise ValueError(f"{self.claim}: {self.value} ± {self.spread}: a measurement is a finite number")


class Measurable(Protocol):
    """The face of an experiment's module."""

    def trials(self) -> list[Trial]: ...
    def measure(self, **arguments: Any) -> dict[str, Any]: ...
    def rows(self, results: Mapping[str, dict[str, Any]]) -> list[Row]: ...


@dataclass(frozen=True, slots=True)
class Experiment:
    """A module with the face of `Measurable`, which is imported when it is asked for."""

    name: str
    summary: str
    module: str

    def __post_init__(self) -> None:
        check_name(self.name, "experiment")

    def load(self) -> Measurable:
        try:
            module: Any = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            message = f"experiment {self.name} needs {error.name}, which is not installed"
            raise MissingTool(message, field=self.name, next_step="pip install 'agentforge[all]'") from error
        loaded: Measurable = module
        return loaded


def at_least(
    claim: str, bar: float, samples: Sequence[float], unit: str, *, theirs: bool = False, method: str = ""
) -> Row:
    """The mean must not be below the bar. `theirs`: a seed document or a paper claims it; else the bar is ours."""
    value, n, spread = _summary(samples)
    return Row(claim, f"≥ {number_text(bar)}", value, unit, n, spread, _verdict(value >= bar, theirs), method)


def at_most(
    claim: str, bar: float, samples: Sequence[float], unit: str, *, theirs: bool = False, method: str = ""
) -> Row:
    """The mean must not be above the bar."""
    value, n, spread = _summary(samples)
    return Row(claim, f"≤ {number_text(bar)}", value, unit, n, spread, _verdict(value <= bar, theirs), method)


def clearly_above(
    claim: str, bar: float, samples: Sequence[float], unit: str, *, theirs: bool = False, method: str = ""
) -> Row:
    """The mean less the spread must be above the bar: for differences that could be noise. Needs two samples."""
    value, n, spread = _summary(samples)
    if spread is None:
        raise ValueError(f"{claim}: one sample has no spread to be above")
    target = f"> {number_text(bar)} by more than the spread"
    return Row(claim, target, value, unit, n, spread, _verdict(value - spread > bar, theirs), method)


def exactly(
    claim: str, wanted: float, samples: Sequence[float], unit: str, *, theirs: bool = False, method: str = ""
) -> Row:
    """Every sample must be the number itself: for counts, and for 1 where something holds each time."""
    value, n, spread = _summary(samples)
    holds = all(sample == wanted for sample in samples)
    return Row(claim, f"= {number_text(wanted)}", value, unit, n, spread, _verdict(holds, theirs), method)


def stated(claim: str, samples: Sequence[float], unit: str, *, method: str = "") -> Row:
    """A number for comparison, held to no bar: printed beside the claim before it, without target and verdict."""
    value, n, spread = _summary(samples)
    return Row(claim, "", value, unit, n, spread, None, method)


def not_testable(claim: str, target: str, why: str) -> Row:
    return Row(claim, target, None, "1", 0, None, "not testable here", why)


def claims(rows: Sequence[Row]) -> list[Row]:
    """The claims alone, each with the stated numbers after it beside it (those before the first: the first's)."""
    found: list[Row] = []
    waiting: list[Row] = []
    for row in rows:
        if row.verdict is None and not found:
            waiting.append(row)
        elif row.verdict is None:
            found[-1] = replace(found[-1], beside=(*found[-1].beside, row))
        else:
            found.append(replace(row, beside=(*waiting, *row.beside)))
            waiting = []
    if not found:
        raise ValueError("an experiment without a claim")
    return found


def number_text(value: float) -> str:
    """Four digits that count; whole numbers whole."""
    if float(value).is_integer() or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _summary(samples: Sequence[float]) -> tuple[float, int, float | None]:
    """Exact before rounding, so that three samples at the bar have their mean at the bar."""
    spread = float(statistics.stdev(samples)) if len(samples) > 1 else None
    return float(statistics.mean(samples)), len(samples), spread


def _verdict(holds: bool, theirs: bool) -> Verdict:
    if holds:
        return "reached"
    return "refuted" if theirs else "not reached"
