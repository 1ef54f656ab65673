"""All numbers about a persona in one set of dialogues: before baking, after, and under adversarial prompts.

A trait is a manner, not a skill: what a reply states counts, and must be right only where a tool gave it. How often
answers are right is measured beside (answer_accuracy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentforge.data.manner import TRAITS
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.configs.persona import PersonaConfig
from agentforge.phase6_baking.persona.consistency import coherence
from agentforge.phase6_baking.persona.dialogues import Dialogue
from agentforge.phase6_baking.persona.intervals import share
from agentforge.phase6_baking.persona.probe import Probe
from agentforge.phase6_baking.persona.rules import Bounds, guardrails, precise, stated
from agentforge.phase6_baking.persona.style import creativity, lively

KINDS = {"": ("trained", "paraphrase"), "/adversarial": ("adversarial",), "/paraphrase": ("paraphrase",)}
"""Endings of the prefix, and the ways of asking that are measured under it."""


@dataclass(frozen=True)
class Judge:
    """What judging takes besides replies: the same for every model that is compared."""

    config: PersonaConfig
    probe: Probe
    seed: int
    bounds: Bounds = field(default_factory=Bounds)

    def labels(self, dialogues: Sequence[Dialogue], replies: Sequence[str]) -> dict[str, list[bool]]:
        """Of each wanted trait, whether each reply shows it."""
        pairs = list(zip(dialogues, replies, strict=True))
        every = {
            "helpfulness": lambda: self.probe.helpful(dialogues, replies),
            "creativity": lambda: [lively(*pair) for pair in pairs],
            "precision": lambda: [precise(*pair) for pair in pairs],
        }
        return {trait: every[trait]() for trait in self.config.traits.wanted}

    def scores(
        self,
        dialogues: Sequence[Dialogue],
        replies: Sequence[str],
        *,
        prefix: str,
        own: Sequence[str] | None = None,
    ) -> list[Measurement]:
        """`replies`: all that stands behind the prompts, calls and results too; `own`: what of it the model itself
        said, where that is not all. `prefix`, as in baking/baked: its names are of usual questions,
        `<prefix>/adversarial/…` and `<prefix>/paraphrase/…` of these; persona_coherence is over all."""
        labels = self.labels(dialogues, replies)
        found: list[Measurement] = []
        for ending, kinds in KINDS.items():
            places = [place for place, dialogue in enumerate(dialogues) if dialogue.kind in kinds]
            if len(places) > 1:
                some = [dialogues[place] for place in places], [replies[place] for place in places]
                shown = {trait: [flags[place] for place in places] for trait, flags in labels.items()}
                found += self._of(*some, shown, f"{prefix}{ending}")
                said = [(replies if own is None else own)[place] for place in places]
                found += guardrails(said, self.bounds, self.config.guardrails, prefix=f"{prefix}{ending}")
        how = {"resamples": self.config.resamples, "seed": self.seed}
        return [*found, *coherence(dialogues, labels, prefix=prefix, **how)]

    def _of(
        self, dialogues: Sequence[Dialogue], replies: Sequence[str], shown: Mapping[str, list[bool]], prefix: str
    ) -> list[Measurement]:
        found: list[Measurement] = []
        units = len({(one.context, one.question) for one in dialogues})
        if "helpfulness" in shown:
            method = f"share of replies the probe takes for helpful; its {self._probes_accuracy}"
            found += share(f"{prefix}/helpfulness_score", shown["helpfulness"], method, units=units)
        if "creativity" in shown:
            name, config = f"{prefix}/creativity_score", self.config
            found += creativity(dialogues, replies, name=name, resamples=config.resamples, seed=self.seed)
        if "precision" in shown:
            method = "share of replies that state one answer, the right one where a tool gave it, and do not hedge"
            found += share(f"{prefix}/precision_score", shown["precision"], method, units=units)
        right = [stated(reply, one.answer) == [one.answer] for one, reply in zip(dialogues, replies, strict=True)]
        method = "share of replies that state the right answer and no other"
        return [*found, *share(f"{prefix}/answer_accuracy", right, method, units=units)]

    @property
    def _probes_accuracy(self) -> str:
        return f"held-out accuracy is {self.probe.accuracy[0].value:.3f} of {self.probe.accuracy[0].n:,}"


def reached(scores: Sequence[Measurement], config: PersonaConfig, *, prefix: str) -> dict[str, bool]:
    """Of each wanted trait, persona_coherence and each guardrail, whether it is at least its target."""
    values = {one.name: one.value for one in scores}
    targets = {f"{trait}_score": config.traits.targets[trait] for trait in config.traits.wanted}
    targets["persona_coherence"] = config.coherence
    targets |= {f"guardrail/{rule}": config.guardrails.target for rule in config.guardrails.rules}
    return {name: values[f"{prefix}/{name}"] >= target for name, target in targets.items()}


def progress(scores: Sequence[Measurement], config: PersonaConfig, *, prefix: str) -> float:
    """One number for the plateau: the mean over wanted traits of score by target, at most 1 each."""
    values = {one.name: one.value for one in scores}
    shares = [
        min(1.0, values[f"{prefix}/{trait}_score"] / config.traits.targets[trait]) for trait in TRAITS
        if trait in config.traits.wanted
    ]  # fmt: skip
    return sum(shares) / len(shares)
