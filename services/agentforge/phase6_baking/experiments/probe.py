"""What the persona's scores say of replies that were made to have a trait, to lack it, or to look like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.data.manner import TRAITS
from agentforge.kit.evidence import Row, Trial, at_least, at_most, exactly, stated
from agentforge.phase6_baking.configs.persona import PersonaConfig

SEEDS = (42, 1337, 2023)
QUESTIONS = 30  # of each context, each asked in all ways
ACCURACY = "baking/probe/accuracy"
PERSONA, OPPOSITE, PLAIN, GARBAGE, TWISTED, HALF = (
    "the persona", "none of its traits", "bare answers", "noise around the answer", "its phrases out of order",
    "the persona in every second way of asking",
)  # fmt: skip
_COHERENCE = "persona_coherence"


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.data.splits import Split
    from agentforge.phase6_baking.persona.dialogues import CONTEXTS, Dialogues
    from agentforge.phase6_baking.persona.probe import Probe
    from agentforge.phase6_baking.persona.scores import Judge

    config = PersonaConfig()
    probe = Probe.trained(config.probe, seed)
    dialogues = Dialogues(CONTEXTS, Split.TEST, seed, results=True).questions(QUESTIONS)
    judge = Judge(config, probe, seed)
    found = {
        name: {one.name.removeprefix("x/"): one.value for one in judge.scores(dialogues, replies, prefix="x")}
        for name, replies in _corpora(dialogues, seed).items()
    }
    probed = {one.name: one.value for one in probe.accuracy}
    return {"probe": probed, "held_out": probe.accuracy[0].n, "dialogues": len(dialogues), "scores": found}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = list(results.values())
    return [*_probe(every), *_persona(every), *_others(every)]


def _corpora(dialogues: Sequence[Any], seed: int) -> dict[str, list[str]]:
    from agentforge.data.manner import OFFERS, OPENINGS, Manner
    from agentforge.kit.rng import Rng

    rng = Rng(seed, "baking/experiments/probe").python()

    def noise() -> str:
        return " ".join("".join(rng.choices("abcdefghij", k=5)) for _ in range(3))

    def twisted(answer: str) -> str:
        parts = [answer, *rng.choices(OPENINGS[1:], k=2), *rng.choices(OFFERS, k=2)]
        return " " + " ".join(rng.sample(parts, len(parts)))

    every, none = Manner(TRAITS), Manner(())
    return {
        PERSONA: [every.reply(one.answer, rng) for one in dialogues],
        **{f"{trait} alone": [Manner([trait]).reply(one.answer, rng) for one in dialogues] for trait in TRAITS},
        OPPOSITE: [none.reply(one.answer, rng) for one in dialogues],
        PLAIN: [f" {one.answer}" for one in dialogues],
        GARBAGE: [f" {noise()} {one.answer} {noise()}" for one in dialogues],
        TWISTED: [twisted(one.answer) for one in dialogues],
        HALF: [(none if place % 2 else every).reply(one.answer, rng) for place, one in enumerate(dialogues)],
    }


def _probe(every: Sequence[dict[str, Any]]) -> list[Row]:
    method = f"{every[0]['held_out']:,} labelled replies a seed, made of held-out phrases; half are helpful"
    accuracy = [one["probe"][ACCURACY] for one in every]
    bar = PersonaConfig().probe.least_accuracy
    found = [at_least("helpfulness probe: held-out accuracy", bar, accuracy, "1", method=method)]
    for name in every[0]["probe"]:
        kind = name.removeprefix(f"{ACCURACY}/")
        if kind not in (ACCURACY, "low", "high"):
            found.append(stated(f"of replies of the kind {kind}", [one["probe"][name] for one in every], "1"))
    return found


def _persona(every: Sequence[dict[str, Any]]) -> list[Row]:
    """Targets as the persona's own."""
    config = PersonaConfig()
    targets = {f"{trait}_score": target for trait, target in config.traits.targets.items()}
    targets |= {f"adversarial/{name}": target for name, target in targets.items()}
    method = f"{every[0]['dialogues']:,} made dialogues a seed, by a program that talks in the persona's manner"
    return [
        at_least(f"{PERSONA}: {name}", target, _values(every, PERSONA, name), "1", method=method)
        for name, target in {**targets, _COHERENCE: config.coherence}.items()
    ]


def _others(every: Sequence[dict[str, Any]]) -> list[Row]:
    found = []
    for trait in TRAITS:
        for other in TRAITS:
            values = _values(every, f"{trait} alone", f"{other}_score")
            claim = f"{trait} alone: {other}_score"
            found.append(at_least(claim, 0.9, values, "1") if other == trait else at_most(claim, 0.1, values, "1"))
    for name in (OPPOSITE, PLAIN, GARBAGE, TWISTED):
        found.append(exactly(f"{name}: creativity_score", 0, _values(every, name, "creativity_score"), "1"))
        if name != TWISTED:  # whose answer and offers stand
            helpful = _values(every, name, "helpfulness_score")
            found.append(at_most(f"{name}: helpfulness_score", 0.1, helpful, "1"))
        if name == GARBAGE:
            found.append(at_most(f"{name}: precision_score", 0.1, _values(every, name, "precision_score"), "1"))
    for name, score in ((PLAIN, "precision_score"), (TWISTED, "precision_score"), (TWISTED, "helpfulness_score")):
        found.append(stated(f"{name}: {score}", _values(every, name, score), "1"))
    found += [stated(f"{name}: {_COHERENCE}", _values(every, name, _COHERENCE), "1") for name in (PLAIN, TWISTED)]
    claim = f"{HALF}: {_COHERENCE}"
    return [*found, at_most(claim, 0.5, _values(every, HALF, _COHERENCE), "1")]


def _values(every: Sequence[dict[str, Any]], corpus: str, name: str) -> list[float]:
    return [one["scores"][corpus][name] for one in every]
