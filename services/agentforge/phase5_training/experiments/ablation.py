"""What each part of the phase brings: the tiny preset in full, and each part switched alone beside a plain loop.

The input is what the pipeline gives: cognate, evomerge and bitnet with their tiny presets. Quietstar is left out:
this phase does not train its thoughts. Steps of dreams count as steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, clearly_above, stated
from agentforge.kit.whole_run import accuracies, outputs, run_phase, value
from agentforge.phase5_training.experiments.curves import Took, bounded, target, took
from agentforge.phase5_training.experiments.settings import Fields, few_steps, merged, plain, preset, steerable

SEEDS = (42, 1337, 2023)
STAGES = ("trunk", "reasoning", "memory_integration", "adaptive_computation")
SHARE = 0.25  # of the preset's steps: after all of them parts that differ in speed may end alike
TEST_ITEMS = 300  # of each family, or all that there are
REWARDED = 10  # steps of GRPO
RISE, RIGHT = 0.20, 0.90  # the bars: relative to the input, and of all test items

STAGED, UNIFORM, PLAINLY = "Four stages", "Uniform difficulty", "Plain weights, rounded in the end"
HAS = {PLAINLY: "Ternary weights in training"}  # what the base has, by the option that takes it away
# What an option is compared with, where that is not the base.
AGAINST = {
    "Grokfast EMA in the second stage": STAGED, "Grokfast MA in the second stage": STAGED,
    "Difficulty at the edge": UNIFORM, "Difficulty from easy to hard": UNIFORM,
}  # fmt: skip


def options(values: Fields, steps: int) -> dict[str, Fields]:
    """Beside the base. Windows, cycles and measurements are those of a long run, scaled to a short one."""
    steady = {"schedule": "constant", "warmup": 0}
    measured = {"every": max(1, steps // 12), "items": 48, "settling": 4}

    def staged(grokfast: Fields) -> Fields:
        return {"pace": {"kind": "stages"}, "train": {**steady, "grokfast": grokfast}}

    added = steerable(values)
    return {
        STAGED: staged({"filter": "none"}),
        "Grokfast EMA in the second stage": staged({"filter": "ema", "alpha": 0.98, "lamb": 2.0}),
        "Grokfast MA in the second stage": staged({"filter": "ma", "window": max(2, steps // 10), "lamb": 5.0}),
        "Self-modelling": {"selfmodel": {"weight": 0.1, "detach": False}},
        "Self-modelling, targets detached": {"selfmodel": {"weight": 0.1, "detach": True}},
        "Dreams": {
            "dreams": {"every": max(1, steps // 5), "steps": max(1, steps // 25), "replayed": 0.5, "prompts": 64}
        },
        **({UNIFORM: added} if added else {}),
        "Difficulty at the edge": merged(added, {"edge": {"kind": "edge", **measured}}),
        "Difficulty from easy to hard": merged(added, {"edge": {"kind": "easy_to_hard", **measured}}),
        "Latents drawn to their codes": {"quantised": {"regulariser": 0.1}},
        "Scaled updates": {"quantised": {"scaling": "update"}},
        "Scaled gradients": {"quantised": {"scaling": "gradient"}},
        "Weight decay .01": {"train": {"weight_decay": 0.01}},
        "Weight decay .1": {"train": {"weight_decay": 0.1}},
    }


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-forge-") as scratch:
        model = given(Path(scratch), seed)
        return {"preset": whole(model, Path(scratch), seed), **parts(model, seed)}


def given(home: Path, seed: int) -> Path:
    """The phase's input, less quietstar."""
    settings = [f"seed={seed}", *(f"{stage}.train.threads=1" for stage in STAGES)]
    made = outputs(run_phase("cognate", home, settings))
    parents = [made[stage] for stage in STAGES]
    champion = outputs(run_phase("evomerge", home, [f"seed={seed}", "threads=1"], inputs=parents))["champion"]
    return outputs(run_phase("bitnet", home, [f"seed={seed}", "train.threads=1"], inputs=[champion]))["model"]


def whole(model: Path, home: Path, seed: int) -> dict[str, Any]:
    """The preset as a user runs it, asked more test items."""
    settings = [f"seed={seed}", "train.threads=1", f"evaluation.test_items={TEST_ITEMS}"]
    began = time.monotonic()
    line = run_phase("training", home, settings, inputs=[model])
    seconds = time.monotonic() - began
    told = json.loads((outputs(line)["model"] / "training.json").read_bytes())["training"]
    names = ("loss", "accuracy", "calibration_error")
    train, quantised = told["config"]["train"], told["config"]["quantised"]
    return {
        "settings": {"steps": train["steps"], "muon_lr": train["muon_lr"], "scaling": quantised["scaling"]},
        "seconds": seconds,
        "families": accuracies(line),
        **{who: {name: value(line, f"forge/{who}/{name}") for name in names} for who in ("input", "trained")},
        "curve": [
            [point["step"], point["forge/selection_loss"]]
            for point in told["curves"]["supervised"]
            if "forge/selection_loss" in point
        ],
    }


def parts(model: Path, seed: int) -> dict[str, Any]:
    from agentforge.phase5_training.experiments.trained import compared

    values = preset()
    steps = few_steps(values, SHARE)
    base = merged(plain(values, steps, TEST_ITEMS), {"seed": seed})
    return compared(model, base, options(values, steps), PLAINLY, REWARDED)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    found = _whole([one["preset"] for one in every])
    method = f"{every[0]['steps']} steps, {every[0]['items']} items of the test split"
    for what, unit in (("loss", "nat"), ("accuracy", "1")):
        found.append(stated(f"the base, plain loop: {what}", _of(every, "base", what), unit, method=method))
    found.append(stated("the base: accuracy lost by families that fell", _forgotten(every, "base"), "1"))
    before, wanted = [one["base"]["before"] for one in every], [target(one["base"]["curve"]) for one in every]
    found.append(stated("the base: selection loss before the first step", before, "nat"))
    found.append(stated("the base: lowest selection loss in three quarters of its steps", wanted, "nat"))
    for name in every[0]["options"]:
        found += _option(name, every)
    return [*found, *_rewards(every)]


def _settings(one: Mapping[str, Any]) -> str:
    """The first record does not say, and the preset's rates and scaling are other ones since then."""
    found = one.get("settings")
    if found is None:
        return "by the preset as it was then, with other rates and without scaled updates"
    return f"{found['steps']} steps, Muon {found['muon_lr']:g}, scaling {found['scaling']}"


def _whole(every: Sequence[dict[str, Any]]) -> list[Row]:
    before, after = ([one[who]["accuracy"] for one in every] for who in ("input", "trained"))
    risen = [b / a - 1 for a, b in zip(before, after, strict=True)]
    asked = f"exact greedy answers to {TEST_ITEMS} test items of each family or all there are, mean over families"
    method = f"{asked}; {_settings(every[0])}"
    found = [
        at_least("The tiny preset raises accuracy over all families by a fifth of the input's", RISE, risen, "1",
                 method=f"over the input's less 1; {method}"),
        stated("input: accuracy", before, "1"),
        *(stated(f"{who}: {what}", [one[who][what] for one in every], unit)
          for what, unit in (("loss", "nat"), ("calibration_error", "1")) for who in ("input", "trained")),
        at_least("The tiny preset answers nine of ten held-out items", RIGHT, after, "1", method=method),
    ]  # fmt: skip
    for family in every[0]["families"]["trained"]:
        for who in ("input", "trained"):
            found.append(stated(f"{who}: {family}", [one["families"][who][family] for one in every], "1"))
    found.append(stated("seconds of the whole phase", [one["seconds"] for one in every], "s"))
    return [*found, *(_at(every, quarter) for quarter in range(1, 5))]


def _at(every: Sequence[dict[str, Any]], quarter: int) -> Row:
    """Of the selection-loss curve."""
    losses = [one["curve"][max(0, len(one["curve"]) * quarter // 4 - 1)][1] for one in every]
    return stated(f"selection loss after {quarter}/4 of its measurements", losses, "nat")


def _option(name: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    other = AGAINST.get(name, "base")
    other = other if other in every[0]["options"] else "base"
    than = "the plain loop" if other == "base" else other.lower()
    method = f"nats saved on the test split in {every[0]['steps']} steps, everything else equal"
    if name in HAS:
        claim, saved = f"{HAS[name]}: less loss than {name.lower()}", _difference(every, name, other, "loss")
    else:
        claim, saved = f"{name}: less loss than {than}", _difference(every, other, name, "loss")
    found = [clearly_above(claim, 0, saved, "nat", method=method)]
    found += _beside(name, other, every)
    if "curve" in every[0]["options"][name]:
        targets = [target(_at_name(one, other)["curve"]) for one in every]
        steps = {who: _steps(every, who, targets) for who in (name, other)}
        method = f"steps to the lowest selection loss in three quarters of {than}"
        for who, taken in steps.items():
            method_of = bounded(method, taken, SEEDS)
            label = who if who == name else f"{name}: beside it, {than}"
            found.append(stated(f"{label}: steps", [each.steps for each in taken], "step", method=method_of))
    if name.startswith("Self-modelling"):
        for what in ("calibration_error", "weight_spread", "participation_ratio"):
            found += [stated(f"{who}: {what}", _of(every, who, what), "1") for who in (name, "base")]
    return found


def _beside(name: str, other: str, every: Sequence[dict[str, Any]]) -> list[Row]:
    times = [a / b for a, b in zip(_of(every, name, "seconds"), _of(every, other, "seconds"), strict=True)]
    tokens = [a / b for a, b in zip(_of(every, name, "tokens"), _of(every, other, "tokens"), strict=True)]
    return [
        stated(f"{name}: loss", _of(every, name, "loss"), "nat"),
        stated(f"{name}: accuracy", _of(every, name, "accuracy"), "1"),
        stated(f"{name}: accuracy gained", _difference(every, name, other, "accuracy"), "1"),
        stated(f"{name}: accuracy lost by families that fell", _forgotten(every, name), "1"),
        stated(f"{name}: time", times, "1", method="CPU seconds of one thread over those without it"),
        stated(f"{name}: tokens", tokens, "1", method="over those without it"),
    ]


def _rewards(every: Sequence[dict[str, Any]]) -> list[Row]:
    """By accuracy: it is what is rewarded."""
    where = f"accuracy gained after the base's {every[0]['steps']} steps"
    than = {
        "seconds": ("supervision for as long", "as many CPU seconds"),
        "tokens": ("supervision of as many tokens", "as many tokens, those of all drawn answers among them"),
    }
    found = []
    for kind, (name, equal) in than.items():
        gained = _difference(every, "grpo", kind, "accuracy")
        claim, method = f"{REWARDED} steps of exact rewards: more accuracy than {name}", f"{where}; {equal}"
        found.append(clearly_above(claim, 0, gained, "1", method=method))
        found.append(stated(f"{name}: steps", [one["rewards"][kind]["steps"] for one in every], "step"))
        for who, label in (("grpo", "exact rewards"), (kind, name), ("base", "the base")):
            found.append(stated(f"{label}: accuracy", _of(every, who, "accuracy"), "1"))
            found.append(stated(f"{label}: loss", _of(every, who, "loss"), "nat"))
        fell = _forgotten(every, "grpo"), _forgotten(every, kind)
        for label, values in zip(("exact rewards", name), fell, strict=True):
            found.append(stated(f"{label}: accuracy lost by families that fell", values, "1"))
    return found


def _at_name(one: dict[str, Any], who: str) -> dict[str, Any]:
    places: dict[str, dict[str, Any]] = {"base": one["base"], **one["options"], **one["rewards"]}
    return places[who]


def _of(every: Sequence[dict[str, Any]], who: str, what: str) -> list[float]:
    return [_at_name(one, who)[what] for one in every]


def _difference(every: Sequence[dict[str, Any]], who: str, other: str, what: str) -> list[float]:
    return [a - b for a, b in zip(_of(every, who, what), _of(every, other, what), strict=True)]


def _steps(every: Sequence[dict[str, Any]], who: str, targets: Sequence[float]) -> list[Took]:
    return [took(_at_name(one, who)["curve"], wanted) for one, wanted in zip(every, targets, strict=True)]


def _forgotten(every: Sequence[dict[str, Any]], who: str) -> list[float]:
    """Against the input, mean over families."""
    return [
        fmean(max(0.0, before - _at_name(one, who)["families"][family]) for family, before in
              one["input"]["families"].items())
        for one in every
    ]  # fmt: skip
