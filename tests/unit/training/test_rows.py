from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.loader import Batch, Loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.phase5_training.configs.edge import EdgeConfig
from agentforge.phase5_training.edge import Difficulties, Mix, difficulties
from agentforge.phase5_training.rows import Answer, Measuring, MixedItems, MixedRows, SteeredBatches, answering
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training
from tests import pico
from tests.unit.data.helpers import tiny_codec
from tests.unit.train.helpers import Context, Killed

CODEC = tiny_codec()
FAMILIES = {"recall": range(1, 9), "nested": [1, 2, 3]}


def mixed(mix: Mix, seed: int = 3) -> MixedItems:
    return MixedItems("recall", range(1, 9), seed, lambda: mix)


def test_items_come_as_the_mix_says() -> None:
    items = mixed({2: 0.25, 3: 0.75})
    found = Counter(items.item(number).difficulty for number in range(1_000))
    assert set(found) == {2, 3}
    assert found[3] / 1_000 == pytest.approx(0.75, abs=0.05)


def test_items_are_of_the_training_split_alone() -> None:
    items = mixed({1: 0.5, 2: 0.5})
    assert {items.item(number).split for number in range(300)} == {Split.TRAIN}


def test_an_item_depends_on_seed_number_and_mix_alone() -> None:
    items, mix = mixed({2: 0.5, 3: 0.5}), {2: 0.5, 3: 0.5}
    assert [items.item(n) for n in range(50)] == [mixed(mix).item(n) for n in reversed(range(50))][::-1]
    assert items.item(7) != mixed(mix, seed=4).item(7)
    assert items.item(7) != items.item(8)


def test_a_changed_mix_changes_no_more_items_than_it_must() -> None:
    before, after = mixed({2: 0.5, 3: 0.5}), mixed({2: 0.4, 3: 0.6})
    same = [before.item(number) == after.item(number) for number in range(1_000)]
    assert sum(same) / 1_000 == pytest.approx(0.9, abs=0.03)


def by_size(hardest: int) -> Answer:
    """Knows what is no harder than this: exact answers, of a rule instead of a model."""
    return lambda items: [item.completion if item.difficulty <= hardest else " no" for item in items]


def steered(
    kind: str = "edge", answer: Answer | None = None, *, batch: int = 8, accumulation: int = 1, **options: Any
) -> tuple[SteeredBatches, Difficulties]:
    config = EdgeConfig(kind=kind, every=4, items=32, settling=3)  # type: ignore[arg-type]
    controller = difficulties(config, FAMILIES, 40)
    rows = [MixedRows(name, controller, CODEC, 128, seed=5) for name in sorted(FAMILIES)]
    loader = Loader([(each, 1.0) for each in rows], batch=batch, pad=CODEC.pad, seed=5, length=128, **options)
    measure = Measuring(controller, answer or by_size(3), seed=5)
    return SteeredBatches(loader, measure, accumulation), controller


def same(left: Sequence[Batch], right: Sequence[Batch]) -> bool:
    pairs = zip(left, right, strict=True)
    return all(np.array_equal(a.input_ids, b.input_ids) and np.array_equal(a.labels, b.labels) for a, b in pairs)


def test_measurements_come_before_every_fourth_step_and_three_before_the_first() -> None:
    batches, controller = steered()
    list(islice(batches, 9))
    steps = [point["step"] for point in controller.curve if point["family"] == "recall"]
    assert steps == [0, 0, 0, 4, 8]


def test_accumulated_batches_are_one_step() -> None:
    batches, controller = steered(accumulation=3)
    list(islice(batches, 15))
    assert [point["step"] for point in controller.curve if point["family"] == "recall"] == [0, 0, 0, 4]


def test_every_measurement_asks_fresh_training_items_of_the_difficulty_of_then() -> None:
    asked: list[list[Item]] = []

    def answer(items: Sequence[Item]) -> Sequence[str]:
        asked.append(list(items))
        return by_size(6)(items)

    batches, controller = steered(answer=answer)
    rows = {CODEC.text(ids.tolist()) for batch in islice(batches, 12) for ids in batch.input_ids}
    assert len(asked) == 5
    for number, items in enumerate(asked):
        assert {item.split for item in items} == {Split.TRAIN}
        recall = [item for item in items if item.family == "recall"]
        point = [point for point in controller.curve if point["family"] == "recall"][number]
        assert len(recall) == 32
        assert np.mean([item.difficulty for item in recall]) == pytest.approx(point["difficulty"], abs=0.35)
        assert point["success"] == np.mean([item.difficulty <= 6 for item in recall])
    # Of few pairs there are so few items that chance repeats them.
    many = [{item.prompt for item in items if item.family == "recall" and item.difficulty > 2} for items in asked]
    assert len(many[-2]) > 10
    assert len(many[-1]) > 10
    assert not many[-2] & many[-1]
    assert not any(prompt in row for row in rows for prompt in many[-2] | many[-1])


def test_rows_follow_what_was_measured() -> None:
    batches, controller = steered(answer=by_size(9))
    list(islice(batches, 30))
    assert controller.mix("recall") == {8: 1.0}
    assert controller.mix("nested") == {3: 1.0}
    lowest, unmoved = steered(answer=by_size(0))
    list(islice(lowest, 30))
    assert unmoved.mix("recall") == {1: 1.0}


@pytest.mark.parametrize("kind", ["edge", "uniform", "easy_to_hard"])
@pytest.mark.parametrize("cut", [1, 4, 5, 11])  # the fourth step is to measure first
def test_a_resume_goes_on_with_the_same_bytes(kind: str, cut: int) -> None:
    first, controller = steered(kind)
    list(islice(first, cut))
    second, resumed = steered(kind)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert same(list(islice(first, 15)), list(islice(second, 15)))
    assert controller.state_dict() == resumed.state_dict()
    assert first.state_dict() == second.state_dict()


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_see_what_one_rank_sees(world: int) -> None:
    alone = list(islice(steered()[0], 12))
    ranks = [list(islice(steered(batch=8 // world, rank=rank, world=world)[0], 12)) for rank in range(world)]
    for place, batch in enumerate(alone):
        together = np.concatenate([rank[place].input_ids for rank in ranks])
        assert np.array_equal(batch.input_ids, together)


def test_an_item_that_never_fits_is_found_at_once() -> None:
    controller = difficulties(EdgeConfig(kind="edge"), {"recall": range(1, 65)}, 40)
    rows = MixedRows("recall", controller, CODEC, 64, seed=0)
    rows.row(0)  # of the easiest, which fit
    with pytest.raises(InvalidInput) as caught:
        rows.try_all()
    assert caught.value.reason == "ITEM_TOO_LONG"
    MixedRows(
        "recall", difficulties(EdgeConfig(kind="edge"), {"recall": range(1, 9)}, 40), CODEC, 64, seed=0
    ).try_all()


def test_rows_learn_the_answer_alone() -> None:
    controller = difficulties(EdgeConfig(kind="edge"), FAMILIES, 40)
    row = MixedRows("nested", controller, CODEC, 64, seed=1).row(0)
    plain = ItemRows(mixed_of(controller, "nested"), CODEC, 64).row(0)
    assert np.array_equal(row.ids, plain.ids)
    assert np.array_equal(row.labels, plain.labels)


def mixed_of(controller: Difficulties, family: str) -> MixedItems:
    return MixedItems(family, controller.levels[family], 1, lambda: controller.mix(family))


@pytest.mark.parametrize("make", [pico.titan, pico.llama])
def test_asking_in_the_middle_of_a_training_changes_nothing(make: Callable[[], Any]) -> None:
    model, codec = make().train(), Codec(pico.tokenizer())
    answer = answering(model, codec, batch=4)
    items = [mixed({1: 1.0}).item(number) for number in range(6)]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    said = answer(items)
    assert said == answer(items)
    assert len(said) == 6
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    model.eval()
    answer(items)
    assert not model.training


def trained(kind: str, *, measured: bool = True) -> Training:
    """Eight steps of a model that is asked every second step."""
    config = EdgeConfig(kind=kind, every=2, items=8, settling=2)  # type: ignore[arg-type]
    controller = difficulties(config, {"recall": [1, 2, 3]}, 8)
    codec, model = Codec(pico.tokenizer()), pico.titan()
    rows = MixedRows("recall", controller, codec, pico.WINDOW, seed=5)
    loader = Loader([(rows, 1.0)], batch=4, pad=codec.pad, seed=5, length=pico.WINDOW)
    steered = SteeredBatches(loader, Measuring(controller, answering(model, codec, 8), seed=5))
    settings = TrainConfig(steps=8, batch=4, warmup=2, checkpoint_every=3, threads=1)
    return Training(model, steered if measured else loader, settings)


def same_weights(one: Training, other: Training) -> bool:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kill_at", [3, 5])
def test_a_training_killed_at_any_step_ends_with_the_same_bytes(tmp_path: Path, kill_at: int) -> None:
    whole = trained("easy_to_hard")  # which moves, whatever so small a model answers
    whole.run(Context(tmp_path / "whole"))
    killed = Context(tmp_path / "cut", kill_at=kill_at)
    with pytest.raises(Killed):
        trained("easy_to_hard").run(killed)
    resumed, checkpoint = trained("easy_to_hard"), killed.checkpoints.latest()
    assert checkpoint is not None
    resumed.load(checkpoint.path)
    resumed.run(Context(tmp_path / "cut"))
    assert same_weights(whole, resumed)
    assert whole.loader.state_dict() == resumed.loader.state_dict()
    assert len(whole.loader.state_dict()["controller"]["curve"]) == 5


def test_a_training_that_is_measured_learns_what_one_that_is_not_does(tmp_path: Path) -> None:
    plain, measured = trained("uniform", measured=False), trained("uniform")
    plain.run(Context(tmp_path / "plain"))
    measured.run(Context(tmp_path / "measured"))
    assert same_weights(plain, measured)
