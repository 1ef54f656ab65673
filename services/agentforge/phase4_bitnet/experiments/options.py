"""What each part of the phase brings: switched, one at a time, on the tiny preset's specialist of sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, clearly_above, stated
from agentforge.kit.whole_run import outputs, run_phase

SEEDS = (42, 1337, 2023)
STAGES = ("trunk", "reasoning", "memory_integration", "adaptive_computation")
STEPS = (10, 20, 80)  # of the fine-tuning; the preset has 160
FEW = 40  # steps at which options are compared: after more of them all are near the input
# What is switched, beside BASE.
OPTIONS: dict[str, dict[str, Any]] = {
    "the paper's thresholds": {"calibration": {"thresholds": False}},
    "a scale for each channel": {"ternary": {"scale": "channel"}},
    "a scale for 32 inputs": {"ternary": {"scale": "group", "group": 32}},
    "norm before each layer": {"ternary": {"norm": True}},
    "no distillation": {"loss": {"distillation": 0.0}},
    "distillation alone": {"loss": {"task": 0.0}},
    "temperature 2": {"loss": {"temperature": 2.0}},
    "no warm-up": {"warmup": 0.0},
    "warm-up over half": {"warmup": 0.5},
    "Grokfast": {"train": {"grokfast": {"filter": "ema"}}},
    "layers of error above .15 high-precision": {"calibration": {"high_precision": "measured", "bound": 0.15}},
}
PARTS = {  # what BASE has, by the switch that takes it away
    "the paper's thresholds": "Calibrated thresholds",
    "no distillation": "Distillation",
    "no warm-up": "Warm-up over a fifth",
}
# With distillation, so that leaving it out is one of the switches; the phase's default is without, by this table.
BASE: dict[str, Any] = {"loss": {"distillation": 1.0}}


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase4_bitnet.experiments.trained import parts

    with TemporaryDirectory(prefix="af-ternary-") as scratch:
        settings = [f"seed={seed}", *(f"{stage}.train.threads=1" for stage in STAGES)]
        made = outputs(run_phase("cognate", Path(scratch), settings))
        return parts(made["reasoning"], seed, ["arithmetic"], BASE, OPTIONS, FEW, STEPS)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = list(results.values())
    return [*_options(every), *_steps(every), *_calibration(every)]


def _options(every: Sequence[dict[str, Any]]) -> list[Row]:
    """All else equal. Of what the base has, what it saves against being without; of the rest, against the base."""
    base = [one["few"]["loss"] for one in every]
    found = []
    for name in every[0]["options"]:
        losses = [one["options"][name]["loss"] for one in every]
        part = PARTS.get(name)
        saved = [(theirs - ours) * (1 if part else -1) for theirs, ours in zip(losses, base, strict=True)]
        claim = f"{part}: less loss than {name}" if part else f"Option, {name}: less loss than the base"
        method = f"nats saved in {FEW} steps, everything else equal"
        found.append(clearly_above(claim, 0, saved, "nat", method=method))
        found.append(stated(f"{name}: loss", losses, "nat"))
        found.append(stated(f"{name}: accuracy", [one["options"][name]["accuracy"] for one in every], "1"))
        ternary = [one["options"][name]["ternary"] for one in every]
        if ternary != [one["few"]["ternary"] for one in every]:
            found.append(stated(f"{name}: ternary layers", ternary, "1"))
    found.append(stated(f"the base, {FEW} steps: loss", base, "nat"))
    found.append(stated(f"the base, {FEW} steps: accuracy", [one["few"]["accuracy"] for one in every], "1"))
    return found


def _steps(every: Sequence[dict[str, Any]]) -> list[Row]:
    return [
        stated(f"the base, {steps} steps: loss", [one["sweep"][steps]["loss"] for one in every], "nat")
        for steps in every[0]["sweep"]
    ]


def _calibration(every: Sequence[dict[str, Any]]) -> list[Row]:
    """Output error of the layers, before anything is trained."""
    saved = [
        fmean(layer["error_uncalibrated"] - layer["error"] for layer in one["layers"].values()) for one in every
    ]
    claim = "Calibrated thresholds lower the layers' output error"
    method = "share of the output's squares, mean over layers, less that of the paper's thresholds"
    found = [clearly_above(claim, 0, saved, "1", method=method)]
    for what in ("error_uncalibrated", "error", "zeros"):
        values = [fmean(layer[what] for layer in one["layers"].values()) for one in every]
        found.append(stated(f"{what}, mean over layers", values, "1"))
    for name in every[0]["layers"]:
        rise = [one["layers"][name]["sensitivity"] for one in every]
        found.append(stated(f"{name} alone ternary: nats", rise, "nat"))
    return found
