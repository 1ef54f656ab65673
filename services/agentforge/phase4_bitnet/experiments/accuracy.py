"""What ternary weights cost in accuracy.

Each specialist of the tiny preset at the family that it was trained for, and two with the width and depth of the
small preset: rounded and not trained, trained as the phase trains, and, for comparison, trained as long with plain
weights. The tiny preset's champion, too, which is what the phase gets in the pipeline. Three seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, stated
from agentforge.kit.whole_run import outputs, run_phase

SEEDS = (42, 1337, 2023)
SHAPES = ("tiny", "small")
OWN = {"reasoning": "arithmetic", "memory_integration": "recall", "adaptive_computation": "nested"}
CHAMPION = "champion"
LOST_ACCURACY, LOST_NATS = 0.07, 0.12  # of the seeds, and NOTES-SCIENCE's for small models
# Five plain layers: with memory and several passes a step takes five times as long here. Nested expressions stay
# at half in plain layers (docs/cognate.md), so their specialist is left out, as short as its warm-up lets it be.
_SMALL = (
    "model.size=small", "model.num_hidden_layers=5", "model.act=false", "model.deep_supervision=0",
    "adaptive_computation.train.steps=21",
)  # fmt: skip
_STAGES = ("trunk", *OWN)


def trials() -> list[Trial]:
    return [Trial(f"{shape}/{seed}", {"shape": shape, "seed": seed}) for shape in SHAPES for seed in SEEDS]


def measure(shape: str, seed: int) -> dict[str, Any]:
    from agentforge.phase4_bitnet.experiments.trained import compared

    with TemporaryDirectory(prefix="af-ternary-") as scratch:
        home, tiny = Path(scratch), shape == "tiny"
        settings = [f"seed={seed}", *(f"{stage}.train.threads=1" for stage in _STAGES), *(() if tiny else _SMALL)]
        made = outputs(run_phase("cognate", home, settings))
        own = {name: family for name, family in OWN.items() if tiny or name != "adaptive_computation"}
        found: dict[str, Any] = {"own": {f: compared(made[n], seed, [f]) for n, f in own.items()}}
        if tiny:
            models = [made[name] for name in _STAGES]
            champion = outputs(run_phase("evomerge", home, [f"seed={seed}"], inputs=models))["champion"]
            found[CHAMPION] = compared(champion, seed, list(OWN.values()))
        return found


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found: list[Row] = []
    for shape in SHAPES:
        every = [results[f"{shape}/{seed}"]["own"] for seed in SEEDS]
        found += _cost(f"{shape}, specialists", [_all(one) for one in every])
        for family in every[0]:
            found += _alone(f"{shape}, {family}", [one[family] for one in every])
    tiny = [results[f"tiny/{seed}"] for seed in SEEDS]
    return [*found, *_cost("the tiny preset's champion", [one[CHAMPION] for one in tiny])]


def _all(own: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean over the families of one seed, each answered by its specialist."""
    first = next(iter(own.values()))
    numbers = ("accuracy", "loss", "perplexity")
    return {
        "steps": first["steps"],
        "items": sum(one["items"] for one in own.values()),
        **{
            who: {what: fmean(one[who][what] for one in own.values()) for what in numbers}
            for who in first
            if isinstance(first[who], Mapping)
        },
    }


def _cost(what: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    """Against the input, as the phase states it; the plain control says what training alone would have given."""
    where = f"{every[0]['items']} held-out items"
    ways = (
        ("finetuned", f"{every[0]['steps']} steps of training"),
        ("rounded", "rounding alone, calibrated thresholds"),
        ("rounded_plainly", "rounding alone, the paper's thresholds"),
    )
    found = []
    for who, how in ways:
        method = f"share of the input's mean accuracy over families, {where}"
        lost = [1 - one[who]["accuracy"] / one["input"]["accuracy"] for one in every]
        found.append(at_most(f"{what}: accuracy lost, {how}", LOST_ACCURACY, lost, "1", method=method))
        found += [stated(f"{each}: accuracy", _of(every, each, "accuracy"), "1") for each in ("input", who)]
        method = f"loss less the input's, {where}"
        nats = _difference(every, who, "input")
        found.append(at_most(f"{what}: nats lost, {how}", LOST_NATS, nats, "nat", method=method))
        found += [stated(f"{each}: loss", _of(every, each, "loss"), "nat") for each in ("input", who)]
        found += [stated(f"{each}: perplexity", _of(every, each, "perplexity"), "1") for each in ("input", who)]
    claim = f"{what}: nats lost against plain weights trained for as long"
    method = f"the same {every[0]['steps']} steps on the task's loss, weights plain; {where}"
    found.append(at_most(claim, LOST_NATS, _difference(every, "finetuned", "control"), "nat", method=method))
    found.append(stated("control: accuracy", _of(every, "control", "accuracy"), "1"))
    return [*found, stated("control: loss", _of(every, "control", "loss"), "nat")]


def _alone(what: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    who = ("input", "rounded_plainly", "rounded", "finetuned", "control")
    return [stated(f"{what}, {each}: accuracy", _of(every, each, "accuracy"), "1") for each in who]


def _of(every: Sequence[dict[str, Any]], who: str, what: str) -> list[float]:
    return [one[who][what] for one in every]


def _difference(every: Sequence[dict[str, Any]], who: str, other: str) -> list[float]:
    return [a - b for a, b in zip(_of(every, who, "loss"), _of(every, other, "loss"), strict=True)]
