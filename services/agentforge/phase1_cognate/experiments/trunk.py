"""Shared trunk against independent starts: what the plain mean of three specialists' tensors still knows.

Small on purpose: two plain layers, and families of a few letters that are learned in some hundred steps and cannot
be guessed (of two pairs to recall, half can). Every stage sees
all of them, a branch its own most, and each specialist has had as many steps in both settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, clearly_above, stated
from agentforge.kit.phase import load_pipeline
from agentforge.kit.whole_run import outputs, run_phase
from agentforge.phase1_cognate.config import SPECIALISTS

SEEDS = (42, 1337, 2023)
INITS = ("shared", "independent")
FAMILIES = {"reasoning": "reverse", "memory_integration": "copy", "adaptive_computation": "sort"}
DIFFICULTIES = {"reverse": (2, 3), "copy": (2, 3), "sort": (2, 3)}
STEPS = {"trunk": 150, "reasoning": 100, "memory_integration": 100, "adaptive_computation": 100}
ITEMS = 200  # of each family; all of the test split where it has fewer


def trials() -> list[Trial]:
    return [Trial(f"{init}/{seed}", {"init": init, "seed": seed}) for init in INITS for seed in SEEDS]


def measure(init: str, seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-trunk-") as scratch:
        line = run_phase("cognate", Path(scratch), [f"init={init}", f"seed={seed}", *settings(seed)])
        made = outputs(line)
        return {"seconds": line["seconds"], **parents_and_merge([made[name] for name in SPECIALISTS], seed)}


def settings(seed: int) -> list[str]:
    """Over the tiny preset. The branches' seeds follow the root's: independent starts differ from run to run."""
    preset = load_pipeline().preset("tiny", "cognate")
    found = [f"data.difficulties.{family}={list(chosen)}" for family, chosen in DIFFICULTIES.items()]
    found += [f"{name}.family={family}" for name, family in FAMILIES.items()]
    found += ["evaluation.items=10", "evaluation.texts=1"]  # what is reported is measured here
    found += ["model.num_hidden_layers=2", "model.act=false"]
    for stage, steps in STEPS.items():
        train = {"steps": steps, "batch": 64, "threads": 1, "checkpoint_every": 0}
        found += [f"{stage}.train.{key}={value}" for key, value in train.items()]
        own = {family: 3 if family == FAMILIES.get(stage) else 1 for family in FAMILIES.values()}
        mix = {**dict.fromkeys(preset[stage]["mix"], 0), **own}
        found += [f"{stage}.mix.{source}={weight}" for source, weight in mix.items()]
    return [*found, *(f"{name}.seed={10 * seed + number}" for number, name in enumerate(SPECIALISTS))]


def parents_and_merge(parents: list[Path], seed: int) -> dict[str, Any]:
    """Accuracy by family of each parent, and of the plain mean of their tensors, on the same held-out items."""
    import torch

    from agentforge.data.codec import Codec
    from agentforge.data.generate import ItemStream
    from agentforge.data.splits import Split
    from agentforge.kit.rng import Rng
    from agentforge.train.evaluate import answer_accuracy
    from agentforge.train.loading import load_model
    from agentforge.train.state import own_tensors, put_tensors

    torch.set_num_threads(1)
    streams = {
        family: ItemStream(family, Split.TEST, Rng(seed, "experiments/trunk", family).seed, chosen)
        for family, chosen in DIFFICULTIES.items()
    }
    items = {family: stream.distinct(ITEMS, all_if_fewer=True) for family, stream in streams.items()}
    loaded = [load_model(parent) for parent in parents]
    codec = Codec(loaded[0].tokenizer)

    def accuracy(model: Any) -> dict[str, float]:
        return {
            name: answer_accuracy(model, codec, asked, prefix="trunk")[0].value for name, asked in items.items()
        }

    found = [accuracy(each.model) for each in loaded]
    tensors = [{name: tensor.clone() for name, tensor in own_tensors(each.model).items()} for each in loaded]
    average = {name: torch.stack([each[name] for each in tensors]).mean(0) for name in tensors[0]}
    put_tensors(loaded[0].model, average)
    return {
        "parents": dict(zip(SPECIALISTS, found, strict=True)),
        "merge": accuracy(loaded[0].model),
        "items": {family: len(asked) for family, asked in items.items()},
    }


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    merged = {init: [_mean(results[f"{init}/{seed}"]["merge"]) for seed in SEEDS] for init in INITS}
    parents = {init: [_parents(results[f"{init}/{seed}"]) for seed in SEEDS] for init in INITS}
    kept = {init: [m / mean(p) for m, p in zip(merged[init], parents[init], strict=True)] for init in INITS}
    counts = ", ".join(f"{count} {family}" for family, count in next(iter(results.values()))["items"].items())
    ahead = [a - b for a, b in zip(merged["shared"], merged["independent"], strict=True)]
    method = f"accuracy of the mean of three specialists' tensors, mean over families; items: {counts}"
    share = "the merge's accuracy over the mean of its parents'"
    found = [
        clearly_above(
            "A merge of specialists from a shared trunk knows more than one from independent starts", 0, ahead, "1",
            theirs=True, method=f"difference of {method}",
        )
    ]  # fmt: skip
    for init in INITS:
        found += [
            stated(f"{init}: merge", merged[init], "1"),
            stated(f"{init}: parents, mean", [mean(each) for each in parents[init]], "1"),
            stated(f"{init}: best parent", [max(each) for each in parents[init]], "1"),
        ]
    return [
        *found,
        at_least(
            "From a shared trunk the merge knows as much as its parents on average (earlier: .743 against .656)", 1,
            kept["shared"], "1", theirs=True, method=share,
        ),
        at_most(
            "From independent starts the merge has lost nearly all (earlier: .049 against .658)", 0.1,
            kept["independent"], "1", theirs=True, method=share,
        ),
    ]  # fmt: skip


def _mean(by_family: Mapping[str, float]) -> float:
    return mean(by_family.values())


def _parents(result: dict[str, Any]) -> list[float]:
    return [_mean(parent) for parent in result["parents"].values()]
