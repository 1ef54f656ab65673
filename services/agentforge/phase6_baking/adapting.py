"""Adapters that are given: merged into the model before anything is baked, or that alone."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from agentforge.data.splits import Split
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.adapters.described import adapter_directory
from agentforge.phase6_baking.adapters.merge import attached, merged, write
from agentforge.phase6_baking.adapters.plan import plan
from agentforge.phase6_baking.start import Start
from agentforge.train.judging import judged
from agentforge.train.loading import load_model

_CARD = """\
---
library_name: transformers
tags: [agentforge, baking]
---
# baking

A language model with {count} LoRA adapter{s} merged into its weights ({method}): it is loaded and used
without PEFT. On {items:,} questions its logits differ from those of the model with its adapters beside it by up
to {difference:.2g}. baking_summary.json has the numbers.
"""


def with_adapters(context: PhaseContext, start: Start) -> Start:
    adapters = _paths(context)
    if not adapters:
        return start
    return replace(
        start, model=merged(copy.deepcopy(start.model), adapters, start.config.adapters, start.config.seed)
    )


def merge_only(context: PhaseContext, start: Start, before: Any) -> None:
    """`start` is merged; `before` is the model without its adapters."""
    items = start.items(start.config.skills, Split.TEST, start.config.evaluation.test_items)
    beside = attached(before, _paths(context), start.config.adapters, start.config.seed)
    ids = [start.codec.prompt_ids(item.prompt) for item in items]
    difference = max(_difference(start.model, beside, each) for each in ids)
    method = f"largest difference of logits between merged and unmerged, {len(ids):,} prompts"
    found = [Measurement("baking/merge_error", difference, "1", method, len(ids))]
    found += judged(start.model, start.codec, items, "baking/merged", batch=start.config.evaluation.batch)
    for one in found:
        context.measure(one)
    count = len(_paths(context))
    with context.output("model") as directory:
        write(directory, load_model(context.inputs.one("model").path), start.model)
        sizes = asdict(plan(context.inputs.one("model").path, _paths(context)))
        told = {"measured": {one.name: one.value for one in found}, **sizes}
        (directory / "baking_summary.json").write_bytes(canonical_json(told))
        (directory / "README.md").write_text(
            _CARD.format(
                count=count, s="" if count == 1 else "s", method=start.config.adapters.method, items=len(ids),
                difference=difference,
            )
        )  # fmt: skip


@torch.no_grad()
def _difference(merged_model: Any, beside: Any, ids: list[int]) -> float:
    ids_1T = torch.tensor([ids], device=merged_model.device)
    return float((merged_model(input_ids=ids_1T).logits - beside(input_ids=ids_1T).logits).abs().max())


def _paths(context: PhaseContext) -> list[Path]:
    return [adapter_directory(given.path) for given in context.inputs.many("adapter")]
