"""The trained model as a directory: weights, how they are ternary, card, numbers, and how hard its items were."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.models.ternary import record
from agentforge.models.ternary.linear import ternary_layers
from agentforge.models.thoughts.saving import HABITS, HEAD
from agentforge.phase5_training.configs.data import TEXT, TOKENS
from agentforge.phase5_training.judging import INPUT, TRAINED, Judged
from agentforge.phase5_training.start import Start
from agentforge.phase5_training.training import REWARDED, SUPERVISED
from agentforge.train.judging import WITH_THOUGHTS, table
from agentforge.train.stages import Finished

DIFFICULTY = "difficulty.json"

_CARD = """\
---
library_name: transformers
tags: [agentforge, training]
---
# training

A language model that was trained on for {steps:,} steps{rewarded}.{ternary}{thoughts}

On {items:,} questions of the test split, which had no part in training:

{table}

Loss is nats per answer token; families: share of questions answered exactly. Accuracy rose by {risen} of the
input's; what families lost that the input answered better: {forgotten:.3g}. Expected calibration error of answer
tokens: {calibration[0]:.3g} before, {calibration[1]:.3g} after.{given}

Switched on: {parts}. What each of them brings was measured: docs/EVIDENCE.md, `agentforge evidence training`.

```
agentforge chat model --prompt "{prompt}"
```

training.json has settings, losses over all steps and all numbers.{difficulty}
"""
_TERNARY = """ {layers} of its large matrices compute with weights of -1, 0 and 1 times a scale:
model.safetensors has their full-precision latents, ternary.json how each is ternary and a digest of its codes."""
_THOUGHTS = """ It thinks as its input did: quietstar.json and mixing_head.safetensors are the input's,
unchanged, and were not trained with it. `{0}`: answers with thoughts."""
_DIFFICULTY = " difficulty.json: how hard the items of each family were, and how many were answered, step by step."


@dataclass(frozen=True)
class Made:
    """What the trainings left, by their names."""

    model: Any
    finished: dict[str, Finished]

    @property
    def difficulty(self) -> Sequence[dict[str, Any]]:
        """Of each family at each measurement; none where nothing was steered."""
        batches = self.finished[SUPERVISED].counters["loader"]["awake"]
        found: Sequence[dict[str, Any]] = batches.get("controller", {}).get("curve", [])
        return found


def publish(context: PhaseContext, start: Start, made: Made, judged: Judged) -> None:
    for one in judged.measured:
        context.measure(one)
    if "model" not in context.published:
        with context.output("model") as directory:
            write(directory, start, made, judged)


def write(directory: Path, start: Start, made: Made, judged: Judged) -> None:
    """No times in it: the same run gives the same bytes."""
    if ternary_layers(made.model):
        record.save(directory, made.model)
    else:
        made.model.save_pretrained(directory)
    start.codec.tokenizer.save_pretrained(directory)
    told = {
        "config": resolved(start.config), "curves": {name: each.curve for name, each in made.finished.items()},
        "rewinds": made.finished[SUPERVISED].counters["rewinds"], "given": start.given.record(),
        "test": judged.values,
    }  # fmt: skip
    (directory / "training.json").write_bytes(canonical_json({"training": told, "tokenizer": start.codec.digest}))
    if made.difficulty:
        (directory / DIFFICULTY).write_bytes(canonical_json(made.difficulty))
    start.given.write(directory)
    if (start.directory / HABITS).is_file():
        for name in (HABITS, HEAD):
            shutil.copyfile(start.directory / name, directory / name)
    (directory / "README.md").write_text(_card(start, made, judged))


def _card(start: Start, made: Made, judged: Judged) -> str:
    values, rewards = judged.values, made.finished.get(REWARDED)
    risen = values.get("risen/accuracy")
    layers = len(ternary_layers(made.model))
    return _CARD.format(
        steps=made.finished[SUPERVISED].counters["step"],
        rewarded=f", and for {rewards.counters['step']:,} by exact rewards" if rewards else "",
        ternary=_TERNARY.format(layers=layers) if layers else "",
        thoughts=_THOUGHTS.format(WITH_THOUGHTS) if (start.directory / HABITS).is_file() else "",
        items=len(judged.items), table=table(values, (INPUT, TRAINED)),
        risen="an unknown share" if risen is None else f"{risen:.1%}", forgotten=values["forgotten/accuracy"],
        calibration=[values[f"{who}/calibration_error"] for who in (INPUT, TRAINED)], given=_given(values),
        parts=", ".join(switched_on(start)) or "nothing beside the plain loop", prompt=judged.items[0].prompt,
        difficulty=_DIFFICULTY if made.difficulty else "",
    )  # fmt: skip


def switched_on(start: Start) -> list[str]:
    config, ternary = start.config, bool(ternary_layers(start.model))
    parts = {
        "four stages": config.pace.kind == "stages",
        f"Grokfast ({config.train.grokfast.filter})": config.train.grokfast.filter != "none",
        "self-modelling": config.selfmodel.weight > 0,
        "dreams": 0 < config.dreams.every < config.train.steps,
        f"difficulty ({config.edge.kind})": config.edge.kind != "uniform",
        "regulariser of latents": ternary and config.quantised.regulariser > 0,
        f"scaling of ternary layers ({config.quantised.scaling})": ternary and config.quantised.scaling != "none",
        "exact rewards": config.rewards.steps > 0,
    }
    return [name for name, on in parts.items() if on]


def _given(values: dict[str, float]) -> str:
    """Text and tokens that the user brought."""
    lines = []
    for kind in (TEXT, TOKENS):
        before, after = (values.get(f"{who}/{kind}_loss") for who in (INPUT, TRAINED))
        if before is not None and after is not None:
            lines.append(f" {kind.capitalize()}, nats a token: {before:.3g} before, {after:.3g} after.")
    return "".join(lines)
