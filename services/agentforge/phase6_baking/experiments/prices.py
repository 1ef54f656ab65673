"""What it costs to bake a style into a ternary model: by latents, by an adapter, and where that is merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.kit.evidence import Row, Trial, clearly_above, stated

SEEDS = (42, 1337, 2023)
LEARNING = 300  # steps of the learner; a third as many before, as a plain model
FEW, MANY = 10, 100  # steps of a baking
RATES = {"latents": 1e-3, "all weights": 1e-3, "beside": 4e-3}  # best of a few for another seed
RANK = 8
LATENTS, ALL, BESIDE = RATES
ANEW, OLD, INTO = "rounded anew", "old scales", "into latents"
NOTHING = "rounded anew, without the adapter"
_TOLD = {
    LATENTS: "latents trained straight-through",
    ALL: "all weights trained, latents straight-through",
    BESIDE: f"adapter of rank {RANK} beside, not merged",
    ANEW: "adapter merged into the ternary weights, rounded anew by their mean size",
    OLD: "adapter merged into the ternary weights, rounded by the old scales",
    INTO: "adapter merged into the latents, rounded as they are",
    NOTHING: "ternary weights rounded anew by their mean size, no adapter",
}


def trials() -> list[Trial]:
    return [Trial(f"{seed}", {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase6_baking.configs.adapters import LoraConfig
    from agentforge.phase6_baking.experiments import four_ways as ways

    scene = ways.scene(seed, LEARNING)
    start = scene.start
    found: dict[str, Any] = {"start": scene.numbers(start), "steps": {}}
    for steps in (FEW, MANY):
        adapted = scene.baked(ways.beside(start, LoraConfig(rank=RANK), seed), RATES[BESIDE], steps)
        models = {
            LATENTS: scene.baked(ways.on_latents(start), RATES[LATENTS], steps),
            ALL: scene.baked(ways.all_weights(start), RATES[ALL], steps),
            BESIDE: adapted,
            **{name: ways.merged(adapted, way) for name, way in ways.MERGES.items()},
        }
        found["steps"][f"{steps}"] = {name: scene.numbers(model) for name, model in models.items()}
    again = ways.merged(adapted, ways.MERGES[ANEW], share=0.0)
    found["nothing"] = scene.numbers(again) | {"scale": ways.scale_left(start, again)}
    return found


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[f"{seed}"] for seed in SEEDS]
    few, many = (f"{steps}" for steps in (FEW, MANY))
    return [
        *_more(every, many, ANEW, BESIDE, (ANEW, BESIDE)),
        stated(f"{_TOLD[NOTHING]}: nats", [_of(one["nothing"], one) for one in every], "nat", method=_method()),
        stated(f"{_TOLD[NOTHING]}: what is left of a scale", [one["nothing"]["scale"] for one in every], "1"),
        *_more(every, many, OLD, BESIDE, (OLD,)),
        *_more(every, many, INTO, BESIDE, (INTO,)),
        *_more(every, few, BESIDE, LATENTS, (BESIDE, LATENTS, ALL)),
        *_more(every, many, BESIDE, LATENTS, (LATENTS, ALL)),
    ]


def _more(
    every: Sequence[Mapping[str, Any]], steps: str, worse: str, better: str, told: Sequence[str]
) -> list[Row]:
    """The claim that one way costs more nats than the other, and what each of `told` has done."""
    ways = [one["steps"][steps] for one in every]
    samples = [way[worse]["kl"] - way[better]["kl"] for way in ways]
    claim = f"{steps} steps: {_TOLD[worse]}; nats more than {_TOLD[better]}"
    found = [clearly_above(claim, 0.0, samples, "nat", method=_method())]
    for name in told:
        of = f"{steps} steps: {_TOLD[name]}"
        changed = [_of(one["steps"][steps][name], one) for one in every]
        off = [_of(one["steps"][steps][name], one, "off_task") for one in every]
        found += [
            stated(f"{of}: nats", changed, "nat", method="change from the learner that was not baked"),
            stated(
                f"{of}: nats off-task", off, "nat", method="change of the cross-entropy of what is not to change"
            ),
            stated(f"{of}: answers in the style", [way[name]["in_style"] for way in ways], "1"),
        ]
    return found


def _of(numbers: Mapping[str, float], one: Mapping[str, Any], name: str = "kl") -> float:
    return float(numbers[name] - one["start"][name])


def _method() -> str:
    return "KL from the prompted learner in a token of its answers to held-out questions, the model without prefix"
