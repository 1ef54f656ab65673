"""The trainings of `accuracy` and `options`: each by the phase's own code, on one input, asked the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.audience import Quiet
from agentforge.kit.config import validate_config
from agentforge.kit.inputs import InputPath
from agentforge.kit.phase import load_pipeline
from agentforge.models.ternary.linear import Mode
from agentforge.phase4_bitnet.calibration import Layer, modes_of
from agentforge.phase4_bitnet.config import BitNetConfig
from agentforge.phase4_bitnet.judging import numbers_of
from agentforge.phase4_bitnet.phase import calibration
from agentforge.phase4_bitnet.start import Start, load_start
from agentforge.phase4_bitnet.training import fine_tuning
from agentforge.train.machine import settled

Fields = Mapping[str, Any]
_BRIEF: Fields = {"calibration": {"sensitivity": 0}}
_PAPER: Fields = {"calibration": {"thresholds": False, "sensitivity": 0}}


def compared(directory: Path, seed: int, families: Sequence[str]) -> dict[str, Any]:
    """The input, rounded, trained ternary, and trained plain."""
    start = _start(directory, seed, families, {})
    test = start.items(Split.TEST, start.config.evaluation.test_items)
    modes, paper = (modes_of(_layers(_start(directory, seed, families, each))) for each in (_BRIEF, _PAPER))
    return {
        "steps": start.config.train.steps,
        "items": len(test),
        "input": _numbers(start, start.model, test),
        "rounded": _numbers(start, start.ternary(modes), test),
        "rounded_plainly": _numbers(start, start.ternary(paper), test),
        "finetuned": _numbers(start, _trained(start, modes), test),
        "control": _numbers(start, _trained(start, {}), test),
    }


def parts(
    directory: Path,
    seed: int,
    families: Sequence[str],
    base: Fields,
    options: Mapping[str, Fields],
    few: int,
    steps: Sequence[int],
) -> dict[str, Any]:
    """`few`: steps of each option's training. `steps`: of the base's."""
    start = _start(directory, seed, families, {})
    test = start.items(Split.TEST, start.config.evaluation.test_items)
    told = ("error", "error_uncalibrated", "zeros", "sensitivity")

    def of(changed: Fields) -> dict[str, Any]:
        own = _start(directory, seed, families, _merged(_merged(_BRIEF, base), changed))
        layers = _layers(own)
        return {**_numbers(own, _trained(own, modes_of(layers)), test), "ternary": len(modes_of(layers))}

    return {
        "layers": {layer.name: {key: layer.record[key] for key in told} for layer in _layers(start)},
        "few": of(_short(few)),
        "sweep": {f"{count}": of(_short(count)) for count in steps},
        "options": {name: of(_merged(_short(few), fields)) for name, fields in options.items()},
    }


def _short(steps: int) -> Fields:
    return {"train": {"steps": steps, "warmup": min(20, steps // 4)}}


def _start(directory: Path, seed: int, families: Sequence[str], changed: Fields) -> Start:
    """The tiny preset's data and training, whatever the model's shape."""
    preset = load_pipeline().preset("tiny", "bitnet")
    own = {
        "seed": seed,
        "data": {"families": {name: preset["data"]["families"][name] for name in families}},
        "evaluation": {"test_items": 300},
        "train": {"threads": 1, "checkpoint_every": 0},
    }
    config = validate_config(BitNetConfig, _merged(_merged(preset, own), changed))
    return load_start(InputPath("model", "model", directory, ""), config)


def _merged(values: Fields, changed: Fields) -> dict[str, Any]:
    """One level deep, as configs are."""
    found = dict(values)
    for name, fields in changed.items():
        found[name] = {**found.get(name, {}), **fields} if isinstance(fields, Mapping) else fields
    return found


def _layers(start: Start) -> list[Layer]:
    with settled(start.config.train):
        return calibration(Quiet(), start)


def _trained(start: Start, modes: dict[str, Mode]) -> Any:
    training = fine_tuning(start, modes)
    training.run(Quiet())
    return training.model.eval()


def _numbers(start: Start, model: Any, test: Sequence[Item]) -> dict[str, Any]:
    with settled(start.config.train):
        values = {one.name.removeprefix("bitnet/who/"): one.value for one in numbers_of(start, "who", model, test)}
    families = {
        name.removeprefix("accuracy/"): value for name, value in values.items() if name.startswith("accuracy/")
    }
    return {
        "loss": values["loss"], "perplexity": values["perplexity"], "accuracy": fmean(families.values()),
        "families": families,
    }  # fmt: skip
