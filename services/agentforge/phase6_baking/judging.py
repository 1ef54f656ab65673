"""The input, the prompted model and the baked one on the test split, which decided nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from agentforge.data.items import Item
from agentforge.data.manner import right
from agentforge.data.splits import Split
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.asking import Reply, Runner, ask
from agentforge.phase6_baking.bake.measuring import drift, kl_removed
from agentforge.phase6_baking.bake.pairs import Pair
from agentforge.phase6_baking.persona import scores as persona
from agentforge.phase6_baking.persona.dialogues import Dialogues
from agentforge.phase6_baking.persona.probe import Probe
from agentforge.phase6_baking.persona.rules import Bounds
from agentforge.phase6_baking.sources import PERSONA, TOOLS, questions, room_of
from agentforge.phase6_baking.start import Start
from agentforge.phase6_baking.texts import text_pairs
from agentforge.tools.describe import paraphrase
from agentforge.train.evaluate import text_bits
from agentforge.train.examine import held_out_texts
from agentforge.train.rollouts import Constraint

INPUT, PROMPTED, BAKED = "input", "prompted", "baked"
_SEEDS = {"tool_accuracy", "persona_coherence", "helpfulness_score", "creativity_score", "precision_score"}
_TEXTS, _ROW = 12, 64  # documents and tokens in a row, of the text that is off every task


@dataclass(frozen=True)
class Who:
    """A model, and what stands before every question to it."""

    name: str
    model: Any
    prefix: str


def candidates(start: Start, teacher: Any, baked: Any) -> list[Who]:
    return [
        Who(INPUT, start.model, ""),
        Who(PROMPTED, teacher, start.prompts.whole),
        Who(BAKED, baked, ""),
    ]  # fmt: skip


class Judge:
    """Asks everybody the same. `runner` remembers what tools gave, so that a call costs once."""

    def __init__(self, start: Start, split: Split, count: int) -> None:
        self.start, self.split = start, split
        self.runner = Runner(start.toolbox) if start.toolbox else None
        config = start.config
        self.tasks = start.items(config.tool_tasks, split, count) if config.tool_tasks else []
        self.skills = start.items(config.skills, split, count)
        self.room = room_of(start, [*self.tasks, *self.skills])
        self.constraint = _constraint(start)

    def ask(self, who: Who, prompts: Sequence[str], *, temperature: float = 0.0, seed: int = 0) -> list[Reply]:
        config = self.start.config
        return ask(
            who.model, self.start.codec, [who.prefix + prompt for prompt in prompts], self.runner, room=self.room,
            calls=config.tools.calls, temperature=temperature, seed=seed, batch=config.evaluation.batch,
            constraint=self.constraint,
        )  # fmt: skip

    def tools(self, who: Who, kind: str = "") -> list[Measurement]:
        """`kind` stands in the names where the question was put otherwise than in training."""
        if not self.tasks:
            return []
        replies = self.ask(who, [item.prompt for item in self.tasks])
        prefix = f"baking/{who.name}{kind}"
        found = [_share(f"{prefix}/valid_calls", [reply.valid is True for reply in replies], self._of("calls"))]
        found += _by_family(f"{prefix}/tool_accuracy", self.tasks, replies, self._of("answers"))
        size = fmean(reply.tokens for reply in replies)
        method = f"prompt, calls, results and answer, mean over {len(replies):,} questions"
        return [*found, Measurement(f"{prefix}/tokens_per_query", size, "1", method, len(replies))]

    def kept(self, who: Who) -> list[Measurement]:
        """Skills, tools allowed: a sum may be answered by calling the calculator."""
        replies = self.ask(who, [item.prompt for item in self.skills])
        return _by_family(f"baking/{who.name}/skill_accuracy", self.skills, replies, self._of("answers"))

    def persona(self, who: Who, scorer: persona.Judge) -> list[Measurement]:
        """Questions put as in training, in other words, and by somebody who wants another persona."""
        config, wanted = self.start.config.persona, self.start.config.evaluation
        families = {**self.start.config.skills, **self.start.config.tool_tasks}
        contexts = {name: {name: levels} for name, levels in families.items()}
        dialogues = Dialogues(contexts, self.split, self.start.config.seed).questions(wanted.dialogues)
        replies = self.ask(
            who, [each.prompt for each in dialogues], temperature=config.temperature, seed=self.start.config.seed
        )
        texts, own = [reply.text for reply in replies], [reply.own for reply in replies]
        return scorer.scores(dialogues, texts, prefix=f"baking/{who.name}", own=own)

    def text(self, who: Who) -> Measurement:
        texts = held_out_texts()[:_TEXTS]
        return text_bits(who.model, self.start.codec, texts, name=f"baking/{who.name}/bits_per_byte", length=_ROW)

    def _of(self, what: str) -> str:
        return f"share of {what} to generated items of the {self.split} split"


def judge_all(start: Start, judge: Judge, teacher: Any, baked: Any) -> list[Measurement]:
    found: list[Measurement] = []
    scorer = scorer_of(start)
    found += scorer.probe.accuracy if scorer else []
    for who in candidates(start, teacher, baked):
        found += [*judge.tools(who), *judge.kept(who), judge.text(who)]
        found += judge.persona(who, scorer) if scorer else []
    found += [*_otherwise_told(start, judge, teacher, baked), *baked_in(start, judge, teacher, baked)]
    return [*found, *_as_the_seeds_name_them(found)]


def _as_the_seeds_name_them(found: Sequence[Measurement]) -> list[Measurement]:
    """Of the baked model, without its name."""
    of_baked = f"baking/{BAKED}/"
    return [
        replace(one, name=f"baking/{name}")
        for one in found
        if one.name.startswith(of_baked) and (name := one.name.removeprefix(of_baked)) in _SEEDS
    ]


def scorer_of(start: Start) -> persona.Judge | None:
    if start.manner is None:
        return None
    config, prompts = start.config.persona, start.prompts
    tools = frozenset(spec.name for spec in start.toolbox.specs) if start.toolbox else frozenset()
    bounds = Bounds(tuple(each for each in (prompts.tools, prompts.persona) if each), tools)
    return persona.Judge(config, Probe.trained(config.probe, start.config.seed), start.config.seed, bounds)


def _otherwise_told(start: Start, judge: Judge, teacher: Any, baked: Any) -> list[Measurement]:
    """Tools described in words and an order that no training had."""
    if start.toolbox is None:
        return []
    config = start.config.tools
    words = paraphrase(start.toolbox.specs, config.describe, start.config.seed)
    asked = {PROMPTED: (teacher, words + start.prompts.persona), BAKED: (baked, words)}
    return [
        one
        for name, (model, prefix) in asked.items()
        for one in judge.tools(Who(name, model, prefix), "/held_out_description")
    ]


def baked_in(start: Start, judge: Judge, teacher: Any, baked: Any) -> list[Measurement]:
    """How much of the whole prompt is in the weights now, and what moved where no prompt was baked."""
    pairs = held_out_pairs(start, judge, PERSONA if start.manner else TOOLS, teacher)
    text = text_pairs(start.codec, held_out_texts()[:_TEXTS], start.config.data.length)
    found = kl_removed(teacher, teacher, baked, pairs, pad=start.codec.pad)
    return [*found, *drift(start.model, baked, text, pad=start.codec.pad)]


def held_out_pairs(start: Start, judge: Judge, kind: str, teacher: Any) -> list[Pair]:
    """Questions of the judge's split, and what the prompted teacher says to them."""
    config, codec = start.config, start.codec
    told = questions(start, kind, judge.split, config.seed)
    items = [told[place % len(told)].item(place) for place in range(config.evaluation.test_items)]
    replies = ask(
        teacher, codec, [item.prefix + item.prompt for item in items], judge.runner, room=judge.room,
        calls=config.tools.calls, batch=config.evaluation.batch,
    )  # fmt: skip
    return [
        Pair(codec.prompt_ids(i.prefix + i.prompt), codec.prompt_ids(i.prompt), r.trajectory.ids, r.trajectory.own)
        for i, r in zip(items, replies, strict=True)
    ]


def _constraint(start: Start) -> Constraint | None:
    """Of each generation, where calls can only be well-formed."""
    if start.toolbox is None or not start.config.tools.constrained:
        return None
    from agentforge.train import constrained

    return constrained.Constraint(start.toolbox.specs, start.codec.tokenizer).processor


def _by_family(name: str, items: Sequence[Item], replies: Sequence[Reply], method: str) -> list[Measurement]:
    """The mean over families, then each of them."""
    by: dict[str, list[bool]] = {}
    for item, reply in zip(items, replies, strict=True):
        by.setdefault(item.family, []).append(right(item, reply.text))
    families = [_share(f"{name}/{family}", rights, method) for family, rights in sorted(by.items())]
    mean = fmean(one.value for one in families)
    return [Measurement(name, mean, "1", f"mean over {len(families)} families, {method}", len(items)), *families]


def _share(name: str, hits: Sequence[bool], method: str) -> Measurement:
    return Measurement.of_samples(name, [float(hit) for hit in hits], "1", method)


def values(found: Sequence[Measurement]) -> Mapping[str, float]:
    """By name, without the phase's."""
    return {one.name.removeprefix("baking/"): one.value for one in found}
