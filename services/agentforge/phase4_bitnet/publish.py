"""The ternary model as a directory: latents, the record of their codes, card and numbers; packed on request."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.models.ternary import record
from agentforge.models.ternary.packed import save_packed
from agentforge.models.thoughts.saving import HABITS, HEAD
from agentforge.phase4_bitnet.calibration import Layer
from agentforge.phase4_bitnet.export import export
from agentforge.phase4_bitnet.judging import FINETUNED, INPUT, ROUNDED, Judged
from agentforge.phase4_bitnet.packing import WIDTHS, bits
from agentforge.phase4_bitnet.start import Start
from agentforge.train.judging import WITH_THOUGHTS, table
from agentforge.train.stages import Curve

_CARD = """\
---
library_name: transformers
tags: [agentforge, bitnet]
---
# bitnet

A language model whose {ternary} of {layers} large matrices compute with weights of -1, 0 and 1 times a scale, and
with activations of 8 bits (BitNet b1.58).{plain}{thoughts}

On {items:,} questions of the test split, which had no part in training or calibration:

{table}

`rounded`: made ternary and not trained. `finetuned`: this model; what the input had not learned of these families,
its training could learn as well. Loss is nats per answer token; families: share of questions answered exactly.

Against the input: {accuracy} of its mean accuracy lost (bound {accuracy_bound:.0%}: {accuracy_within}); loss
{nats:+.3f} nats (bound {nats_bound:+g}: {nats_within}).

Packed, against float32 (embeddings and head in {embeddings} bits):

{sizes}

```
agentforge chat model --prompt "{prompt}"
```

model.safetensors has the full-precision latents that training goes on with, ternary.json how each layer is ternary
and a digest of its codes. Programs that do not read ternary.json load the latents as an ordinary model, which is
another one: its answers were not measured. training.json has settings, calibration of each layer and all numbers.
"""
_THOUGHTS = """

It thinks as its input did: quietstar.json and mixing_head.safetensors are the input's, unchanged, and were not
trained with the ternary weights. `{0}`: answers with thoughts."""


@dataclass(frozen=True)
class Made:
    """What fine-tuning left, and how it came to it."""

    model: Any
    layers: Sequence[Layer]
    curve: Curve


def publish(context: PhaseContext, start: Start, made: Made, judged: Judged) -> None:
    for one in judged.measured:
        context.measure(one)
    if "model" not in context.published:
        with context.output("model") as directory:
            write(directory, start, made, judged)
    width = start.config.packing.packed
    if width is not None and "packed" not in context.published:
        with context.output("packed") as directory:
            save_packed(directory, made.model, bits(start, width))
            start.codec.tokenizer.save_pretrained(directory)
    kind = start.config.packing.gguf
    if kind is not None and "gguf" not in context.published:
        with context.output("gguf") as directory:
            export(context, start, made.model, judged.items, directory, kind)


def write(directory: Path, start: Start, made: Made, judged: Judged) -> None:
    """No times in it: the same run gives the same bytes."""
    record.save(directory, made.model)
    start.codec.tokenizer.save_pretrained(directory)
    told = {
        "config": resolved(start.config),
        "layers": [layer.record for layer in made.layers],
        "curve": made.curve,
        "test": judged.values,
    }
    (directory / "training.json").write_bytes(canonical_json({"bitnet": told, "tokenizer": start.codec.digest}))
    if (start.directory / HABITS).is_file():
        for name in (HABITS, HEAD):
            shutil.copyfile(start.directory / name, directory / name)
    (directory / "README.md").write_text(_card(start, made, judged))


def _card(start: Start, made: Made, judged: Judged) -> str:
    values, bounds, config = judged.values, start.config.bounds, start.config
    plain = [layer.name for layer in made.layers if not layer.ternary]
    return _CARD.format(
        ternary=len(made.layers) - len(plain), layers=len(made.layers),
        plain=f" High precision keep {', '.join(plain)}." if plain else "",
        thoughts=_THOUGHTS.format(WITH_THOUGHTS) if (start.directory / HABITS).is_file() else "",
        items=len(judged.items), table=table(values, (INPUT, ROUNDED, FINETUNED)), sizes=_sizes(values),
        accuracy=_share(values.get(f"{FINETUNED}/lost/accuracy")), accuracy_bound=bounds.accuracy,
        accuracy_within=_reached(values.get(f"{FINETUNED}/within/accuracy")),
        nats=values[f"{FINETUNED}/lost/nats"], nats_bound=bounds.nats,
        nats_within=_reached(values[f"{FINETUNED}/within/nats"]),
        embeddings=config.packing.embeddings, prompt=judged.items[0].prompt,
    )  # fmt: skip


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.1%}"


def _reached(value: float | None) -> str:
    return "not measured" if value is None else "kept" if value else "not kept"


def _sizes(values: Mapping[str, float]) -> str:
    lines = ["| bits of a weight | linear layers | whole file |", "|---|---|---|"]
    for width in WIDTHS:
        parts = (f"packed/{width}_bits/{part}" for part in ("linear_layers", "whole_file"))
        cells = [f"{values[f'{part}/size']:,.0f} bytes, {values[f'{part}/ratio']:.2f}x smaller" for part in parts]
        lines.append(f"| {width} | {' | '.join(cells)} |")
    return "\n".join(lines)
