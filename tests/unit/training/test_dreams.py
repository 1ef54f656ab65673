"""Dreams change nothing but their own steps; what they are made of was seen, or said rightly by the model."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agentforge.data.loader import Batch, Loader
from agentforge.data.rows import IGNORED, Row
from agentforge.data.scoring import score_items
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.phase5_training.configs.dreams import DreamsConfig
from agentforge.phase5_training.configs.edge import EdgeConfig
from agentforge.phase5_training.dreams import Dreams, Memory, Told
from agentforge.phase5_training.edge import difficulties
from agentforge.phase5_training.rows import MixedRows
from agentforge.phase5_training.sampling import answers
from agentforge.train.loop import Training, model_loss
from tests import pico
from tests.unit.train.helpers import Context
from tests.unit.training import parts


@functools.cache
def _taught(kind: str) -> Any:
    fields = {"recursion": False} if kind.endswith("titan") else {"initializer_range": 0.1}
    return pico.trained(parts.model(kind, **fields), [("copy", 1)], steps=60, seed=1)


def taught(kind: str = "llama") -> Any:
    """Right now and then: about single letters, which it is to copy."""
    return copy.deepcopy(_taught(kind))


def dreams(*families: str, model: Any = None, loader: Any = None, **settings: Any) -> Dreams:
    rows = [parts.rows(family) for family in families or ("copy",)]
    loader = loader or Loader([(each, 1.0) for each in rows], batch=4, pad=parts.codec().pad, seed=1)
    measure = settings.pop("measure", lambda _: None)
    passes = settings.pop("passes", 1)
    usual = {"every": 3, "steps": 2, "replayed": 0.5, "prompts": 48, "temperature": 0.5}
    config = DreamsConfig(**{**usual, **settings})
    return Dreams(
        loader, rows, model, parts.codec(), config, seed=1, rows=4, passes=passes, measure=measure
    )  # fmt: skip


def lines(batch: Batch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(ids, labels) of each row, without padding."""
    found = []
    for ids, labels, mask in zip(batch.input_ids, batch.labels, batch.attention_mask, strict=True):
        size = int(mask.sum())
        found.append((tuple(ids[:size].tolist()), tuple(labels[:size].tolist())))
    return found


def line(row: Row) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(row.ids.tolist()), tuple(row.labels.tolist())


def test_off_it_is_the_loader() -> None:
    off, loader = dreams(every=0), parts.loader("copy")
    for _ in range(5):
        assert lines(next(off)) == lines(next(loader))
    again = dreams(every=0)
    again.load_state_dict(json.loads(json.dumps(off.state_dict())))
    assert lines(next(again)) == lines(next(loader))


def test_awake_it_is_the_loader_whatever_was_dreamt() -> None:
    one, loader = dreams(replayed=1.0), parts.loader("copy")
    seen: set[Any] = set()
    for number in range(15):
        found = lines(next(one))
        if number % 5 < 3:
            assert found == lines(next(loader))
            seen.update(found)
        else:
            assert set(found) <= seen, "replayed rows have passed before, in every token and label"


def test_a_step_may_have_several_batches() -> None:
    one, loader = dreams(replayed=1.0, passes=2), parts.loader("copy")
    awake = [lines(next(one)) for _ in range(6)]
    assert awake == [lines(next(loader)) for _ in range(6)]
    for _ in range(4):
        assert set(lines(next(one))) <= {each for batch in awake for each in batch}
    assert lines(next(one)) == lines(next(loader))


def test_memory_is_an_even_sample_of_what_passed() -> None:
    loader = parts.loader("copy", "arithmetic", batch=16)
    sources = [parts.rows("copy"), parts.rows("arithmetic")]
    memory, all_of_it = Memory(sources, 100, 1), Memory(sources, 10_000, 1)
    passed = []
    for _ in range(125):
        batch = next(loader)
        memory.see(batch.source)
        all_of_it.see(batch.source)
        passed += lines(batch)
    assert [line(all_of_it.row(each)) for each in all_of_it.references] == passed
    assert len(set(memory.references)) == len(memory.references) == 100
    age = [all_of_it.references.index(each) for each in memory.references]
    assert np.mean(age) == pytest.approx(1000, abs=4 * 2000 / 12**0.5 / 10)  # 4 standard errors of the mean
    again = Memory(sources, 100, 1)
    again.load_state_dict(json.loads(json.dumps(memory.state_dict())))
    for each in (memory, again):
        each.see(np.array([0, 1, 1, 0]))
    assert again.references == memory.references


def test_rows_of_a_steered_difficulty_are_remembered_as_they_were() -> None:
    steered = difficulties(EdgeConfig(kind="easy_to_hard"), {"copy": [1, 2, 3]}, 10)
    rows = MixedRows("copy", steered, parts.codec(), pico.WINDOW, 1)
    loader = Loader([(rows, 1.0)], batch=8, pad=parts.codec().pad, seed=1)
    memory, passed = Memory([rows], 100, 1), []
    for step in range(3):
        batch = next(loader)
        memory.see(batch.source)
        passed += lines(batch)
        steered.observe("copy", {1: (1, 2)}, step=4 * (step + 1))
    assert [line(memory.row(each)) for each in memory.references] == passed
    assert {level for _, _, level in memory.references} == {1, 2, 3}
    assert [line(rows.row(number)) for number in range(24)] != passed, "the source itself has moved on"


class _OneByOne:
    """Batches of one source, and from some batch on of the next."""

    def __init__(self, *families: str, each: int) -> None:
        self.loaders, self.each, self.handed = [parts.loader(family) for family in families], each, 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        which = min(self.handed // self.each, len(self.loaders) - 1)
        self.handed += 1
        return replace(next(self.loaders[which]), source=np.full(4, which))

    def state_dict(self) -> dict[str, Any]:
        return {"handed": self.handed, "loaders": [loader.state_dict() for loader in self.loaders]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.handed = state["handed"]
        for loader, inner in zip(self.loaders, state["loaders"], strict=True):
            loader.load_state_dict(inner)


def test_the_model_is_asked_about_families_that_are_past() -> None:
    loader = _OneByOne("copy", "arithmetic", each=4)
    one = dreams("copy", "arithmetic", loader=loader, replayed=1.0)
    asked = []
    for number in range(15):
        next(one)
        if number % 5 == 3:  # a dream has begun
            asked.append({item.family for _, item in one.memory.earlier()})
    # Batches awake: copy three times; copy and three of arithmetic, less one; arithmetic alone.
    assert asked == [{"copy"}, {"copy", "arithmetic"}, {"copy"}]


def test_tools_are_no_questions_for_the_model_alone() -> None:
    memory = Memory([parts.rows("copy"), replaced_length("tool_calculator")], 100, 1)
    memory.see(np.array([0, 1, 1, 0]))
    assert {item.family for _, item in memory.earlier()} == {"copy"}


def replaced_length(family: str) -> Any:
    rows = parts.rows(family, 2)
    rows.length = 1_000
    return rows


@pytest.mark.parametrize("kind", ["ternary titan", "ternary llama"])
def test_the_models_own_rows_are_right_and_finished(kind: str) -> None:
    model, measured = taught(kind).train(), list[Measurement]()
    one = dreams(model=model, replayed=0.0, measure=measured.append)
    for _ in range(3):
        next(one)
    before = torch.get_rng_state()
    batches = [next(one), next(one)]
    assert torch.equal(torch.get_rng_state(), before), "its dice are its own"
    assert model.training
    told, items = list(one.told), {item.prefix + item.prompt: item for _, item in one.memory.earlier()}
    assert 0 < len(told) < 12
    share = next(each for each in measured if each.name == "forge/dream/kept_share")
    assert (share.value, share.n, share.step) == (len(told) / 12, 12, 3)
    for each in told:
        prompt, said = each.ids[: -each.said], each.ids[-each.said :]
        assert said[-1] == parts.codec().eos
        assert score_items([items[parts.codec().text(prompt)]], [parts.codec().text(said)]) == [True]
        row = each.row()
        assert row.labels.tolist() == [IGNORED] * len(prompt) + said
        assert row.ids.tolist() == each.ids
    assert {each for batch in batches for each in lines(batch)} <= {line(each.row()) for each in told}
    assert one.told == told
    next(one)
    assert one.told == []
    rows = next(each for each in measured if each.name == "forge/dream/rows")
    assert (rows.value, rows.method) == (8, "rows of one dream: 0 seen before, 8 the model's own")


def test_rows_are_shared_out_as_asked() -> None:
    one = dreams(model=taught(), replayed=0.25)
    for _ in range(3):
        next(one)
    next(one)
    assert one.told
    kinds = [isinstance(one._night.pick(number), Told) for number in range(400)]
    assert np.mean(kinds) == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / 400) ** 0.5)


def test_where_nothing_was_right_all_is_replayed() -> None:
    measured: list[Measurement] = []
    one = dreams(model=parts.model("llama").eval(), replayed=0.0, measure=measured.append)
    seen = {each for _ in range(3) for each in lines(next(one))}
    assert set(lines(next(one))) <= seen
    assert [(each.name, each.value) for each in measured] == [("forge/dream/kept_share", 0.0)]


def test_answers_hang_on_their_seed_alone() -> None:
    items = [parts.rows("copy").items.item(number) for number in range(6)]
    model = taught("llama")

    def said(seed: int, temperature: float = 2.0) -> list[list[int]]:
        torch.rand(seed + 1)
        return answers(model, parts.codec(), items, temperature, seed, 4)

    assert said(1) == said(1) != said(2)
    assert said(1, 0.05) == said(2, 0.05), "near zero it says what is likeliest"


def test_the_anchor_is_the_model_when_the_dream_began() -> None:
    model = taught("llama").train()
    one = dreams(model=model, anchor=0.5)
    for _ in range(3):
        given = next(one).torch()
    assert one.loss(model, given).item() == model_loss(model, given).item()
    assert one.tensors() == {}
    given = next(one).torch()
    assert one.divergence(model, model(**given).logits, given).item() == pytest.approx(0, abs=1e-6)
    before = copy.deepcopy(model)
    pico.with_noise(model, 1)
    learned_BT = given["labels"][:, 1:] != IGNORED
    now_XV, then_XV = (F.log_softmax(each(**given).logits[:, :-1][learned_BT], -1) for each in (model, before))
    by_hand = (then_XV.exp() * (then_XV - now_XV)).sum(-1).mean().item()
    assert by_hand > 0.01
    loss = one.loss(model, given)
    assert loss.item() == pytest.approx(model_loss(model, given).item() + 0.5 * by_hand, rel=1e-4)
    other = dreams(model=model, anchor=0.5)
    other.load(one.tensors())
    assert other.loss(model, given).item() == loss.item()
    next(one), next(one)
    assert one.tensors() == {}, "awake again, it is bound to nothing"


@pytest.mark.parametrize("kind", ["ternary titan", "llama"])
def test_killed_amid_a_dream_it_ends_the_same(kind: str, tmp_path: Path) -> None:
    made: list[Dreams] = []

    def make() -> Training:
        model = taught(kind)
        one = dreams(model=model, every=2, steps=2, anchor=0.1)
        made.append(one)
        return Training(model, one, parts.config(steps=7, lr=1e-3), loss_of=one.loss)

    parts.assert_killed_is_whole(make, tmp_path, (2, 3))
    assert made[0].told, "the last dream had rows of the model's own, or this showed nothing"
    assert made[-1].state_dict() == made[0].state_dict()


def test_off_training_is_as_if_they_had_never_been(tmp_path: Path) -> None:
    found = []
    loaders: list[Loader | Dreams] = [parts.loader("copy"), dreams(every=0)]
    for number, loader in enumerate(loaders):
        model = parts.model("ternary titan")
        loss_of = loader.loss if isinstance(loader, Dreams) else model_loss
        training = Training(model, loader, parts.config(steps=3), loss_of=loss_of)
        training.run(Context(tmp_path / f"{number}"))
        found.append(parts.weights(training))
    parts.assert_equal(*found)


def test_streams_alone_cannot_be_dreamt_of() -> None:
    class Stream:
        name = "stream"

    with pytest.raises(InvalidInput, match="streams") as caught:
        Memory([Stream()], 10, 1)  # type: ignore[list-item]
    assert caught.value.reason == "NOTHING_TO_REMEMBER"
    memory = Memory([Stream(), parts.rows()], 10, 1)  # type: ignore[list-item]
    memory.see(np.array([0, 1, 0]))
    assert memory.references == [(1, 0, 0)]
