"""Measures for `styles`: one learner, and what every way of baking makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from agentforge.data.splits import Split
from agentforge.data.tasks.persona import STYLES
from agentforge.kit.audience import Quiet
from agentforge.phase6_baking.bake.baking import START, baking, mixed, rounds
from agentforge.phase6_baking.bake.measuring import drift, kl_removed, said_nats
from agentforge.phase6_baking.bake.pairs import Pair, PairRows
from agentforge.phase6_baking.bake.samples import drawn
from agentforge.phase6_baking.configs.bake import BakeConfig
from agentforge.phase6_baking.experiments.learner import (
    FIRST,
    HELD,
    OTHER,
    ROOM,
    SECOND,
    STYLED,
    TASK,
    Learner,
    followed,
    in_style,
    learner,
)
from agentforge.train.config import TrainConfig
from agentforge.train.state import own_tensors

OFF_TASK = (OTHER, "recall")
PREFIXED = "prefixed"  # questions behind prefixes: those are still to be followed
ANCHORS = (*OFF_TASK, PREFIXED)
ANCHOR = 2.0  # anchors for each row of the task
SHOWN = 800  # questions to bake from, of each family


STRENGTHS = (0.25, 0.5, 0.75, 1.0)
WHOLE = "strength 1"
WAYS: dict[str, dict[str, Any]] = {
    **{f"strength {each:g}": {"strength": each} for each in STRENGTHS},
    "reverse": {"kind": "reverse"},
    "monte carlo": {"kind": "monte_carlo"},
    "on the student's answers": {"samples": "student"},
    "on the student's answers, twice": {"samples": "student", "times": 2},
    "baked again": {"times": 2},
    "strength rising": {"schedule": "linear"},
    "prefixes not anchored": {"anchors": OFF_TASK},
    "no anchors": {"anchors": ()},
}
SEQUENCES: dict[str, dict[str, Any]] = {
    "the same questions": {"of": TASK, "keep": False},
    "other questions": {"of": OTHER, "keep": False},
    "other questions, the first anchored": {"of": OTHER, "keep": True},
}
PURSUED = 3  # rounds


class Bench:
    """A learner, and the questions of its bakings."""

    def __init__(self, learned: Learner, steps: int) -> None:
        self.learned, self.pad, self.codec = learned, learned.codec.pad, learned.codec
        self.train = TrainConfig(
            steps=steps, batch=32, optimiser="adamw", lr=5e-4, embedding_lr=1e-4, warmup=5, threads=1,
            checkpoint_every=0,
        )  # fmt: skip
        self.prefixed = [
            pair
            for style in sorted(STYLES)
            for of in STYLED
            for pair in self.said(
                learned.model, [q for q, _ in learned.questions(of, Split.TRAIN, SHOWN // 4, style)]
            )
        ]
        self.off = {name: learned.pairs(name, Split.TEST, HELD) for name in OFF_TASK}

    def rounds(self, start: Any, *, times: int = 1, anchors: Sequence[str] = ANCHORS, **fields: Any) -> list[Any]:
        """The models that a plan goes through: the start, and what each round made."""
        models, config = {START: start}, BakeConfig(**{"anchor": ANCHOR, **fields})
        for each in rounds([FIRST], config, times):
            models[each.name] = self.bake(models[each.student], models[each.teacher], config, anchors=anchors)
        return list(models.values())

    def bake(
        self, student: Any, teacher: Any, config: BakeConfig, style: str = FIRST, *, of: str = TASK,
        anchors: Sequence[str] = ANCHORS, also: Sequence[Pair] = (),
    ) -> Any:  # fmt: skip
        """The student, baked: another object than the two that are given."""
        student, teacher = self._copy(student), self._copy(teacher)
        asked = self.learned.questions(of, Split.TRAIN, SHOWN, style)
        seed = self.learned.seed
        pairs = drawn(teacher, student, self.codec, asked, config, room=ROOM, seed=seed)
        off = [pair for name in anchors for pair in self._anchors(name)]
        rows = [self._rows(each, name) for name, each in (("task", pairs), ("off", [*off, *also])) if each]
        sources = mixed(rows[:1], rows[1:], config)
        training = baking(student, teacher, sources, self.train, config, pad=self.pad, seed=seed, name="styles")
        training.run(Quiet())
        return training.model

    def held(self, teacher: Any, style: str = FIRST, of: str = TASK) -> list[Pair]:
        """What the prompted teacher says to held-out questions, by dice."""
        asked = self.learned.questions(of, Split.TEST, HELD, style)
        return drawn(teacher, teacher, self.codec, asked, BakeConfig(), room=ROOM, seed=self.learned.seed + 1)

    def said(self, model: Any, asked: Sequence[list[int]]) -> list[Pair]:
        """Anchors: the model's own answers, by dice, to questions as they are."""
        both = [(ids, ids) for ids in asked]
        return drawn(model, model, self.codec, both, BakeConfig(), room=ROOM, seed=self.learned.seed)

    def numbers(self, model: Any, start: Any, held: Sequence[Pair]) -> dict[str, float]:
        """Of FIRST, against the start; what is off-task, pooled and apart; and prefixes that are still followed."""
        pooled = [pair for pairs in self.off.values() for pair in pairs]
        measured = kl_removed(start, start, model, held, pad=self.pad) + drift(start, model, pooled, pad=self.pad)
        found = {one.name.removeprefix("baking/"): one.value for one in measured}
        for name, pairs in self.off.items():
            found[f"ce/{name}"] = said_nats(model, pairs, pad=self.pad)
        found["in_style"] = self.in_style(model, FIRST)
        found["prompted"] = self.in_style(model, FIRST, prompted=True)
        found["other_prefix"] = self.in_style(model, SECOND, prompted=True)
        return found

    def in_style(self, model: Any, style: str, *, of: str = TASK, prompted: bool = False) -> float:
        """Share of greedy answers to held-out questions."""
        items = [in_style(item, style) for item in self.learned.items(of, Split.TEST, HELD)]
        return followed(model, self.codec, items if prompted else [replace(item, prefix="") for item in items])

    def _copy(self, model: Any) -> Any:
        return self.learned.copy(own_tensors(model))

    def _anchors(self, name: str) -> list[Pair]:
        return self.prefixed if name == PREFIXED else self.learned.pairs(name, Split.TRAIN, SHOWN)

    def _few(self, of: str, style: str) -> list[tuple[list[int], list[int]]]:
        return self.learned.questions(of, Split.TRAIN, SHOWN // len(STYLES), style)

    def _rows(self, pairs: Sequence[Pair], name: str) -> tuple[PairRows, float]:
        return PairRows(pairs, self.codec, self.learned.model.config.sliding_window, self.learned.seed, name), 1.0


def measured(kind: str, seed: int, learning: int, steps: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    learned = learner(kind, seed, learning)
    bench, start = Bench(learned, steps), learned.copy()
    held = bench.held(start)
    models = {way: bench.rounds(start, **how)[-1] for way, how in WAYS.items()}
    sequence = {way: _second(bench, start, models[WHOLE], held, **how) for way, how in SEQUENCES.items()}
    return {
        "curve": learned.curve, "start": bench.numbers(start, start, held),
        "ways": {way: bench.numbers(model, start, held) for way, model in models.items()},
        "sequence": sequence, "pursuit": _pursuit(bench),
    }  # fmt: skip


def _second(bench: Bench, start: Any, first: Any, held: Sequence[Pair], *, of: str, keep: bool) -> dict[str, float]:
    """SECOND baked into what FIRST made. `keep`: what was baked is off-task now, and anchored."""
    asked = [bare for _, bare in bench.learned.questions(TASK, Split.TRAIN, SHOWN, FIRST)] if keep else []
    kept = bench.said(first, asked)
    anchors = [name for name in ANCHORS if name != of]
    model = bench.bake(first, first, BakeConfig(anchor=ANCHOR), SECOND, of=of, anchors=anchors, also=kept)
    second = bench.held(first, SECOND, of)
    return {
        "first": _removed(start, start, model, held, bench.pad),
        "first_before": _removed(start, start, first, held, bench.pad),
        "second": _removed(first, first, model, second, bench.pad),
        "in_first": bench.in_style(model, FIRST), "in_second": bench.in_style(model, SECOND, of=of),
    }  # fmt: skip


def _pursuit(bench: Bench) -> dict[str, Any] | None:
    """Of a learner that follows prefixes now and then; None if it never did so. By who teaches, round by round."""
    green = bench.learned.green
    if green is None:
        return None
    found: dict[str, Any] = {"followed": green[1]}
    for teacher in ("start", "baked"):
        models = bench.rounds(bench.learned.copy(green[0]), anchors=OFF_TASK, times=PURSUED, teacher=teacher)
        found[teacher] = [_drawn(bench, model) for model in models]
    return found


def _drawn(bench: Bench, model: Any) -> dict[str, float]:
    return {
        "prompted": bench.learned.drawn_in_style(model, FIRST, Split.TEST, prompted=True),
        "bare": bench.learned.drawn_in_style(model, FIRST, Split.TEST, prompted=False),
    }


def _removed(teacher: Any, before: Any, after: Any, held: Sequence[Pair], pad: int) -> float:
    return kl_removed(teacher, before, after, held, pad=pad)[-1].value
