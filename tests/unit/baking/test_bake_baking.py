"""Baking moves a prompt into the weights and nothing else; a killed one goes on; rounds say who teaches."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.rows import RowSource
from agentforge.data.splits import Split
from agentforge.kit.audience import Quiet
from agentforge.kit.errors import InvalidInput
from agentforge.phase6_baking.bake.baking import START, Round, baking, mixed, rounds, weights
from agentforge.phase6_baking.bake.measuring import drift, kl_removed, prompted_kl, said_nats, selection
from agentforge.phase6_baking.bake.pairs import Pair, PairRows, item_pair
from agentforge.phase6_baking.bake.samples import drawn
from agentforge.phase6_baking.configs.bake import BakeConfig
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training
from agentforge.train.state import own_tensors
from tests import pico
from tests.unit.train.helpers import Context

SHOUT = [3]  # a special token: a prompt of one token


def codec() -> Codec:
    return Codec(pico.tokenizer())


def pairs(split: Split, count: int = 24, prompt: list[int] = SHOUT) -> list[Pair]:
    """What is said where there is a prompt is always the same."""
    found = []
    for item in ItemStream("copy", split, 0, [1]).distinct(count, all_if_fewer=True):
        pair = item_pair(item, codec())
        said = [*codec().ids(" ok !"), codec().eos] if prompt else pair.said
        found.append(Pair(prompt + pair.bare, pair.bare, said, [True] * len(said)))
    return found


@functools.cache
def _taught() -> Any:
    """It copies a letter; behind the prompt it says something else."""
    model: Any = pico.llama(1, initializer_range=0.1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rows = [pair.prompted + pair.said for pair in pairs(Split.TRAIN)]
    rows += [pair.bare + pair.said for pair in pairs(Split.TRAIN, prompt=[])]
    width = max(map(len, rows))
    ids = torch.tensor([row + [codec().pad] * (width - len(row)) for row in rows])
    labels = ids.masked_fill(ids == codec().pad, -100)
    for _ in range(60):
        optimiser.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
    return model.eval()


def taught() -> Any:
    return copy.deepcopy(_taught())


def config(**fields: Any) -> BakeConfig:
    return BakeConfig(**fields)


def training(steps: int = 30, student: Any = None, **fields: Any) -> Training:
    settings = config(**fields)
    train = TrainConfig(steps=steps, batch=16, optimiser="adamw", lr=2e-3, warmup=2, threads=1, checkpoint_every=0)
    task, off = rows(pairs(Split.TRAIN), "task"), rows(off_task(Split.TRAIN, 20), "off")
    sources = mixed([(task, 1.0)], [(off, 1.0)], settings)
    return baking(student or taught(), taught(), sources, train, settings, pad=codec().pad, seed=1, name="bake")


def off_task(split: Split, count: int) -> list[Pair]:
    return [item_pair(item, codec()) for item in ItemStream("recall", split, 0, [2]).distinct(count)]


def rows(found: list[Pair], name: str) -> RowSource:
    return PairRows(found, codec(), 64, 1, name)


@pytest.mark.parametrize("kind", ["forward", "reverse", "monte_carlo"])
def test_baking_removes_most_of_the_kl_on_held_out_questions(kind: str) -> None:
    start, made = taught(), training(kind=kind)
    made.run(Quiet())
    held = pairs(Split.TEST)
    found = {one.name: one.value for one in kl_removed(start, start, made.model, held, pad=codec().pad)}
    assert found["baking/kl_before"] > 0.5
    assert found["baking/kl_removed"] > 0.7
    assert found["baking/kl_after"] == pytest.approx(
        found["baking/kl_before"] * (1 - found["baking/kl_removed"]), rel=1e-6
    )


def test_half_baking_is_between() -> None:
    start, removed = taught(), []
    for strength in (0.3, 0.6, 1.0):
        made = training(strength=strength)
        made.run(Quiet())
        removed.append(kl_removed(start, start, made.model, pairs(Split.TEST), pad=codec().pad)[-1].value)
    assert 0 < removed[0] < removed[1] < removed[2]


def test_a_killed_baking_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole, killed, resumed = (training(6, schedule="linear", strength=0.7) for _ in range(3))
    whole.run(Quiet())
    killed.config = killed.config.model_copy(update={"checkpoint_every": 3})
    context = Context(tmp_path)
    killed.run(context)
    resumed.load(next(iter(sorted(tmp_path.rglob("training.json")))).parent)
    assert 0 < resumed.step < 6
    resumed.run(Quiet())
    assert all(torch.equal(t, own_tensors(resumed.model)[n]) for n, t in own_tensors(whole.model).items())


def test_measurements_agree_with_one_row_at_a_time() -> None:
    start, other = taught(), pico.with_noise(taught(), 3)
    held = pairs(Split.TEST, 7)
    alone = [(prompted_kl(start, other, [pair], pad=2) * len(pair.said), len(pair.said)) for pair in held]
    together = prompted_kl(start, other, held, pad=2, batch=3)
    assert together == pytest.approx(sum(n for n, _ in alone) / sum(c for _, c in alone), rel=1e-5)
    labels = torch.tensor([held[0].bare + held[0].said])
    labels[:, : len(held[0].bare)] = -100
    wanted = float(other(input_ids=torch.tensor([held[0].bare + held[0].said]), labels=labels).loss.detach())
    assert said_nats(other, held[:1], pad=2) == pytest.approx(wanted, rel=1e-4)


def test_drift_of_a_model_that_did_not_move_is_none_and_of_one_that_did_is_some() -> None:
    start, off = (
        taught(),
        [item_pair(item, codec()) for item in ItemStream("recall", Split.TEST, 0, [2]).distinct(9)],
    )
    still = {one.name: one.value for one in drift(start, taught(), off, pad=2)}
    assert still == {
        "baking/drift_kl": pytest.approx(0, abs=1e-6),
        "baking/off_task_ce": pytest.approx(0, abs=1e-6),
    }
    moved = {one.name: one.value for one in drift(start, pico.with_noise(taught(), 3), off, pad=2)}
    assert moved["baking/drift_kl"] > 0.01
    with pytest.raises(InvalidInput) as found:
        drift(start, start, pairs(Split.TEST), pad=2)
    assert found.value.reason == "NOT_OFF_TASK"


def test_a_prompt_without_effect_has_no_share() -> None:
    start, off = taught(), pairs(Split.TEST, prompt=[])
    names = [one.name for one in kl_removed(start, start, start, off, pad=2)]
    assert names == ["baking/kl_before", "baking/kl_after"]
    assert selection(start, start, off, pad=2)().name == "baking/selection_kl"


def test_answers_are_drawn_by_who_is_asked_to() -> None:
    start = taught()
    asked = [(pair.prompted, pair.bare) for pair in pairs(Split.TRAIN, 6)]
    by = {
        who: drawn(start, start, codec(), asked, config(samples=who, temperature=0), room=6, seed=1)
        for who in ("teacher", "student")
    }
    assert [pair.prompted for pair in by["teacher"]] == [prompted for prompted, _ in asked]
    lengths = {who: sum(len(pair.said) for pair in found) for who, found in by.items()}
    assert lengths["teacher"] > lengths["student"]
    assert all(pair.learned == [True] * len(pair.said) for pair in by["teacher"])


def test_rounds_say_which_prompt_and_who_teaches() -> None:
    assert rounds(["a"], BakeConfig(), 2) == [Round("a-1", "a", START, START), Round("a-2", "a", "a-1", START)]
    pursuit = rounds(["a"], BakeConfig(teacher="baked"), 3)
    assert [each.teacher for each in pursuit] == [START, "a-1", "a-2"]
    sequence = rounds(["a", "b"], BakeConfig(), 2)
    assert [(each.student, each.teacher) for each in sequence] == [
        (START, START), ("a-1", START), ("a-2", "a-2"), ("b-1", "a-2"),
    ]  # fmt: skip
    assert rounds(["b"], BakeConfig(), start="a-2")[0].student == "a-2"
    made = {"a-1": {"w": torch.ones(1)}}
    assert weights("a-1", {"w": torch.zeros(1)}, made)["w"] == 1
    assert weights(START, {"w": torch.zeros(1)}, made)["w"] == 0


def test_anchors_are_mixed_in_by_their_weight() -> None:
    task, off = rows(pairs(Split.TRAIN), "task"), rows(pairs(Split.TRAIN, prompt=[]), "off")
    found = mixed([(task, 1.0), (task, 3.0)], [(off, 2.0)], BakeConfig(anchor=0.5))
    assert [weight for _, weight in found] == [0.25, 0.75, 0.5]
    assert [source for source, _ in mixed([(task, 1.0)], [(off, 2.0)], BakeConfig(anchor=0))] == [task]
