"""DeploymentPackager: the chosen model in every format, each asked in its own runtime before it is handed out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.context import PhaseContext
from agentforge.kit.errors import FailedPrecondition, InvalidInput, MissingTool, RunFailed
from agentforge.kit.measure import Measurement
from agentforge.phase8_compression.formats.face import Format, Made, Options, agreement
from agentforge.phase8_compression.making import wanted
from agentforge.phase8_compression.start import Start


@dataclass(frozen=True)
class Package:
    """`absent`: formats that were not made, and why."""

    made: dict[str, Made]
    same: dict[str, dict[str, float]]  # by format and file: share of answers that are PyTorch's
    absent: dict[str, str]
    measured: list[Measurement]
    timed: list[Measurement]


def package(
    context: PhaseContext, start: Start, model: Any, codec: Codec, directory: Path, options: Options,
    items: Sequence[Item], said: Sequence[str],
) -> Package:  # fmt: skip
    """`said`: the final model's answers to the items, by PyTorch."""
    config, described = start.config, model.config.to_dict()
    forms, absent = wanted(described, config.formats, options)
    made: dict[str, Made] = {}
    same: dict[str, dict[str, float]] = {}
    timed: list[Measurement] = []
    for number, form in enumerate(forms):
        context.check_stop()
        context.progress(number, len(forms), "formats", form.name)
        try:
            made[form.name] = form.make(model, codec, directory, options)
            same[form.name], seconds = _asked(start, form, made[form.name], codec, items, said)
        except (FailedPrecondition, InvalidInput, MissingTool) as error:
            if config.formats.make is not None:
                raise
            made.pop(form.name, None)
            shutil.rmtree(directory / form.name, ignore_errors=True)  # half a format is none
            absent[form.name] = error.message
            continue
        _check(form, made[form.name], same[form.name], config.formats.same)
        timed += seconds
    for name, why in absent.items():
        context.log(f"no {name}: {why}")
    return Package(made, same, absent, _measured(made, same, len(items)), timed)


def _asked(
    start: Start, form: Format, made: Made, codec: Codec, items: Sequence[Item], reference: Sequence[str]
) -> tuple[dict[str, float], list[Measurement]]:
    """Every file that answers: the share of answers that are PyTorch's, and how long they took."""
    same: dict[str, float] = {}
    timed = []
    for file in made.runs:
        began = perf_counter()
        said = form.answers(made, codec, items, batch=start.config.evaluation.batch, file=file)
        seconds = perf_counter() - began
        same[file] = agreement(said, reference)
        tokens = sum(len(codec.ids(text)) for text in said)
        method = f"tokens of {len(items)} answers over the time to load the file, read the prompts and answer"
        name = f"compression/formats/{form.name}/{file}/tokens_per_second"
        timed.append(Measurement(name, tokens / seconds, "1/s", method, len(items)))
    return same, timed


def _check(form: Format, made: Made, same: dict[str, float], least: float) -> None:
    worse = {file: share for file, share in same.items() if made.runs[file] and share < least}
    if worse:
        file, share = next(iter(worse.items()))
        message = f"{form.name}/{file} gives PyTorch's answer to {share:.1%} of the questions only"
        step = "It is not handed out. Leave the format out of formats.make, or lower formats.same."
        raise RunFailed(message, reason="FORMAT_DIFFERS", field=f"formats.{form.name}", next_step=step)


def _measured(made: dict[str, Made], same: dict[str, dict[str, float]], items: int) -> list[Measurement]:
    found = []
    for name, one in made.items():
        for file, share in same[name].items():
            kind = "loses nothing" if one.runs[file] else "loses something by design"
            method = (
                f"share of greedy answers that are PyTorch's to the letter, in the format's own runtime; it {kind}"
            )
            found.append(Measurement(f"compression/formats/{name}/{file}/same_answers", share, "1", method, items))
        size = sum(one.path(file).stat().st_size for file in one.files)
        found.append(
            Measurement(f"compression/formats/{name}/size", float(size), "By", "of all its files", len(one.files))
        )
    return found
