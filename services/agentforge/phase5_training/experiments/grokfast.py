"""Grokfast on this phase's own mix, beside a tuned baseline and beside an untuned one.

The rate is constant after a short rise: where it falls, no filter could be many times faster. The input is cheap: a
trunk as cognate's tiny preset trains it, made ternary by bitnet in a few steps: so that there is much to learn.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, clearly_above, stated
from agentforge.kit.whole_run import outputs, run_phase
from agentforge.phase5_training.experiments.curves import Took, bounded, target, took
from agentforge.phase5_training.experiments.settings import Fields, few_steps, merged, plain, preset

SEEDS = (42, 1337, 2023)
SHARE = 0.3  # of the preset's steps
TEST_ITEMS = 100  # of each family
EVERY = 5  # steps between selection losses
WARMUP = 10
SCALES = (0.5, 1.0, 2.0)  # times the preset's learning rates
THEIRS = 50.0  # times faster: the seeds
NONE = "none"
RATES = ("lr", "embedding_lr", "muon_lr")
# As in the paper's transformer; its decay is 0 without the filter.
UNTUNED: Fields = {"optimiser": "adamw", "lr": 1e-3, "embedding_lr": None, "beta2": 0.98}
STAGES = ("trunk", "reasoning", "memory_integration", "adaptive_computation")
_STEPS = "steps to the lowest selection loss that {} meets in three quarters of its own"


def filters(steps: int) -> dict[str, Fields]:
    """The paper's numbers; its window of 100 is for runs of thousands of steps."""
    return {
        NONE: {"filter": "none"},
        "ema": {"filter": "ema", "alpha": 0.98, "lamb": 2.0},
        "ma": {"filter": "ma", "window": max(2, steps // 10), "lamb": 5.0},
    }


def settings(values: Fields, steps: int) -> dict[str, Fields]:
    """By "FILTER/SCALE" and "untuned/FILTER"."""
    rates = {name: values["train"][name] for name in RATES}
    found: dict[str, Fields] = {}
    for name, each in filters(steps).items():
        for scale in SCALES:
            own = {rate: size and size * scale for rate, size in rates.items()}
            found[f"{name}/{scale:g}"] = {"train": {**own, "grokfast": each}}
    for name in (NONE, "ema"):
        found[f"untuned/{name}"] = {"train": {**UNTUNED, "grokfast": filters(steps)[name]}}
    return found


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-grokfast-") as scratch:
        return raced(given(Path(scratch), seed), seed)


def given(home: Path, seed: int) -> Path:
    """The specialists are as short as their warm-up lets them be, and not used. A trunk is no input of bitnet's: so
    it is given a copy, as a model from elsewhere."""
    brief = [f"{stage}.train.steps=21" for stage in STAGES[1:]]
    chosen = [f"seed={seed}", *(f"{stage}.train.threads=1" for stage in STAGES), *brief]
    trunk = shutil.copytree(outputs(run_phase("cognate", home, chosen))["trunk"], home / "elsewhere")
    chosen = [f"seed={seed}", "train.threads=1", "train.steps=21", "calibration.sensitivity=0"]
    return outputs(run_phase("bitnet", home, chosen, inputs=[trunk]))["model"]


def raced(model: Path, seed: int) -> dict[str, Any]:
    from agentforge.data.splits import Split
    from agentforge.phase5_training.experiments.trained import learned, numbers, started

    values = preset()
    steps = few_steps(values, SHARE)
    constant = {"train": {"schedule": "constant", "warmup": WARMUP, "evaluate_every": EVERY}}
    base = merged(plain(values, steps, TEST_ITEMS), constant, {"seed": seed})
    start = started(model, base)
    test = start.items(Split.TEST, TEST_ITEMS)
    runs = {
        name: learned(started(model, merged(base, changed)), test)
        for name, changed in settings(values, steps).items()
    }
    return {"steps": steps, "items": len(test), "input": numbers(start, start.model, test), "runs": runs}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    return [*_tuned(every), *_untuned(every), *_stated(every)]


def _tuned(every: Sequence[dict[str, Any]]) -> list[Row]:
    """Both are chosen by the seeds that they are measured with; of the filter there are twice as many to choose."""
    base = min(_with(every, NONE), key=lambda name: fmean(_final(every, name)))
    taken = _race(every, base)
    fastest = min(
        (name for filtered in ("ema", "ma") for name in _with(every, filtered)), key=lambda n: _sum(taken[n])
    )
    faster = _ratios(taken[base], taken[fastest])
    what = f"{_words(fastest)} against {_words(base)}"
    method = f"{what}: ratio of {_STEPS.format('the latter')}"
    method = bounded(method, taken[fastest], SEEDS, "at most")
    by_seed = ", ".join(f"{ratio:.2f}" for ratio in faster)
    found = [_fifty("Grokfast is 50 times faster than a tuned baseline", taken[base], taken[fastest], method)]
    claim, method = "Grokfast needs fewer steps than a tuned baseline", f"{method}; by seed: {by_seed}"
    found.append(clearly_above(claim, 1, faster, "1", theirs=True, method=method))
    return [*found, *_bounds(every, base), *(_steps(_words(name), each) for name, each in taken.items())]


def _untuned(every: Sequence[dict[str, Any]]) -> list[Row]:
    base = f"untuned/{NONE}"
    taken = _race(every, base)
    ema, tuned = taken["untuned/ema"], min(_with(every, NONE), key=lambda name: _sum(taken[name]))
    method = f"Grokfast EMA and AdamW: ratio of {_STEPS.format('AdamW alone')}"
    return [
        _fifty("Grokfast is 50 times faster than an untuned baseline: AdamW, rate .001, no decay", taken[base], ema,
               bounded(method, ema, SEEDS, "at most")),
        stated(f"tuned rates and no filter ({_words(tuned)}) against the same", _ratios(taken[base], taken[tuned]),
               "1", method=bounded("ratio of the same steps", taken[tuned], SEEDS, "at most")),
        *_bounds(every, base),
        *(_steps(_words(name), taken[name]) for name in (base, "untuned/ema", tuned)),
    ]  # fmt: skip


def _stated(every: Sequence[dict[str, Any]]) -> list[Row]:
    """What each ended as: fewer steps to a loss are no better model."""
    method = f"{every[0]['items']} items of the test split, after {every[0]['steps']} steps"
    found = [stated("input: loss", [one["input"]["loss"] for one in every], "nat", method=method)]
    found.append(stated("input: accuracy", [one["input"]["accuracy"] for one in every], "1", method=method))
    for name in every[0]["runs"]:
        for what, unit in (("loss", "nat"), ("accuracy", "1")):
            values = [one["runs"][name][what] for one in every]
            found.append(stated(f"{_words(name)}: {what}", values, unit, method=method))
    return found


def _race(every: Sequence[dict[str, Any]], base: str) -> dict[str, list[Took]]:
    """Of all runs, to the base's target."""
    curves = {name: [one["runs"][name]["curve"] for one in every] for name in every[0]["runs"]}
    targets = [target(curve) for curve in curves[base]]
    return {
        name: [took(curve, wanted) for curve, wanted in zip(each, targets, strict=True)]
        for name, each in curves.items()
    }


def _fifty(claim: str, slow: Sequence[Took], fast: Sequence[Took], method: str) -> Row:
    """Who is there at the first measurement may have been there sooner: that would refute nothing."""
    most = fmean(each.steps for each in slow) / EVERY
    method = f"{method}; more than {most:.0f} could not be seen"
    row = at_least(claim, THEIRS, _ratios(slow, fast), "1", theirs=True, method=method)
    hidden = row.verdict == "refuted" and any(each.there and each.steps <= EVERY for each in fast)
    return replace(row, verdict="not testable here") if hidden else row


def _bounds(every: Sequence[dict[str, Any]], base: str) -> list[Row]:
    """Where the race begins and ends."""
    runs = [one["runs"][base] for one in every]
    return [
        stated("selection loss before the first step", [one["before"] for one in runs], "nat"),
        stated("selection loss to be reached", [target(one["curve"]) for one in runs], "nat"),
    ]


def _with(every: Sequence[dict[str, Any]], filtered: str) -> list[str]:
    return [name for name in every[0]["runs"] if name.startswith(f"{filtered}/")]


def _final(every: Sequence[dict[str, Any]], name: str) -> list[float]:
    """The lowest selection loss."""
    return [min(loss for _, loss in one["runs"][name]["curve"]) for one in every]


def _sum(taken: Sequence[Took]) -> tuple[int, float]:
    """Who is there with more seeds comes first."""
    return sum(not each.there for each in taken), sum(each.steps for each in taken)


def _ratios(slow: Sequence[Took], fast: Sequence[Took]) -> list[float]:
    return [a.steps / b.steps for a, b in zip(slow, fast, strict=True)]


def _steps(who: str, taken: Sequence[Took]) -> Row:
    return stated(f"{who}: steps", [each.steps for each in taken], "step", method=bounded("steps", taken, SEEDS))


def _words(name: str) -> str:
    kind, _, rest = name.partition("/")
    if kind == "untuned":
        return "AdamW at .001" if rest == NONE else "AdamW at .001, Grokfast EMA"
    how = "no filter" if kind == NONE else f"Grokfast {kind.upper()}"
    return f"{how}, {rest} x the preset's rates"
