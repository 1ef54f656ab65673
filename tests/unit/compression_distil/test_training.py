"""Students at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.data.rows import IGNORED
from agentforge.kit.audience import Quiet
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.rng import Rng
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase8_compression.distil.losses import response
from agentforge.phase8_compression.distil.student import student_of
from agentforge.phase8_compression.distil.training import DistillationLoss, distil, distilled
from agentforge.phase8_compression.distil.watching import counterpart, watched
from agentforge.phase8_compression.vocabulary.rebuild import rebuilt
from agentforge.phase8_compression.vocabulary.trim import trimmed
from agentforge.train.state import own_tensors
from tests import pico
from tests.unit.compression_distil import toys
from tests.unit.compression_vocabulary import toys as vocabulary

ALL: dict[str, Any] = {"feature": 0.5, "attention": 0.5}


def _tensors(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in own_tensors(model).items()}


def _alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("of", "among", "taken"), [(2, 4, [1, 3]), (3, 4, [1, 2, 3]), (4, 2, [0, 0, 1, 1])])
def test_the_last_layer_stands_for_the_last(of: int, among: int, taken: list[int]) -> None:
    assert [counterpart(layer, of, among) for layer in range(of)] == taken


def test_the_loss_is_its_parts_at_learned_positions_alone() -> None:
    start = toys.Start(toys.teacher())
    student, batch = pico.titan(seed=1).eval(), toys.batch(start)
    loss = DistillationLoss(start.model, temperature=4.0, alpha=0.7)(student, batch)
    out = student(**batch)
    places = (batch["labels"][:, 1:] != IGNORED).nonzero().tolist()
    theirs = start.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    ours = torch.stack([out.logits[row, column] for row, column in places])
    kl = response(ours, torch.stack([theirs[row, column] for row, column in places]), 4.0)
    assert loss.item() == pytest.approx((0.3 * out.loss + 0.7 * kl).item(), rel=1e-5)
    hard = DistillationLoss(start.model, temperature=4.0, alpha=0.0)(student, batch)
    assert float(hard) == pytest.approx(float(out.loss), rel=1e-5)


def test_a_copy_has_nothing_to_learn_from_its_teacher() -> None:
    start = toys.Start(toys.teacher())
    student = student_of(start.model, seed=0)
    assert (
        float(DistillationLoss(start.model, temperature=4.0, alpha=1.0, **ALL)(student, toys.batch(start))) < 1e-5
    )


def test_watching_sees_each_layers_last_pass() -> None:
    model = toys.teacher()
    ids_BT = torch.arange(30, 40)[None]
    with torch.no_grad(), watched(model) as states:
        once = model(ids_BT).logits
    assert [tuple(state.shape) for state in states] == [(1, 10, 32)] * 2
    assert not any(layer._forward_hooks for layer in model.layers)
    assert torch.equal(once, model(ids_BT).logits)


def test_the_map_learns_and_is_thrown_away_and_the_teacher_stays() -> None:
    start = toys.Start(pico.titan(num_hidden_layers=2))
    student = student_of(start.model, hidden=48, layers=1, heads=2, seed=0)
    names, before, first = set(student.state_dict()), _tensors(start.model), _tensors(student)
    training = distilled(start, student, toys.config(), number=0, name="distil/test", **ALL)
    maps: Any = training.parts["maps"]
    training.run(Quiet())
    assert _alike(_tensors(start.model), before)
    assert all(each.grad is None for each in start.model.parameters())
    assert not torch.equal(maps.maps[0].weight, torch.eye(32, 48))
    assert maps.maps[0].weight.shape == (32, 48)
    assert set(student.state_dict()) == names
    assert not _alike(_tensors(student), first)
    assert training.model is student
    same = distilled(start, student_of(start.model, seed=0), toys.config(), number=0, name="distil/same", **ALL)
    assert not same.parts


def test_a_student_learns_more_of_what_the_teacher_says() -> None:
    """The teacher's predictions are random: nothing but the teacher tells them. 60 steps, one seed."""
    start, left = toys.Start(toys.teacher()), {}
    for alpha in (0.0, 1.0):
        student = student_of(start.model, layers=1, inherit=False, seed=0)
        config = toys.config(steps=60, lr=5e-3)
        distil(start, student, config, number=0, name="distil/test", alpha=alpha, dice=Rng(0, "test"))
        with torch.no_grad():
            left[alpha] = float(
                DistillationLoss(start.model, temperature=1.0, alpha=1.0)(student, toys.batch(start, 9))
            )
    assert left[1.0] < left[0.0] / 2, left


def test_killed_and_resumed_it_is_the_same(tmp_path: Path) -> None:
    def training() -> Any:
        start = toys.Start(toys.teacher())
        student = student_of(start.model, kind="llama", hidden=64, layers=1, ternary=True, seed=0)
        return distilled(start, student, toys.config(steps=4), number=0, name="distil/test", **ALL)

    class Half(Quiet):
        def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None:
            if done == 2:
                half.save(tmp_path)

    half, resumed = training(), training()
    half.run(Half())
    resumed.load(tmp_path)
    resumed.run(Quiet())
    assert resumed.step == 4
    assert _alike(_tensors(resumed.model), _tensors(half.model))
    assert _alike(resumed.parts["maps"].tensors(), half.parts["maps"].tensors())
    assert ternary_layers(half.model)["model.layers.0.mlp.up_proj"].codes().unique().tolist() == [-1, 0, 1]


def test_a_teacher_of_more_tokens_says_the_same_of_the_kept_ones() -> None:
    """As if it had been trimmed itself: to the bit, since ids, states and rows are."""
    teacher, small = pico.titan(vocab_size=vocabulary.LARGE).eval(), vocabulary.small()
    start = toys.Start(teacher, small.tokenizer)
    twin, batch = trimmed(teacher, small.kept), toys.batch(start)
    assert vocabulary.codec().decode_bytes(small.old_ids(batch["input_ids"][0, :9].tolist())) == (
        start.codec.decode_bytes(batch["input_ids"][0, :9].tolist())
    )
    loss = DistillationLoss(teacher, temperature=4.0, alpha=1.0, kept=small.kept)
    assert float(loss(twin, batch)) == pytest.approx(0, abs=1e-6)
    other = student_of(twin, layers=1, inherit=False, seed=3)
    by_twin = DistillationLoss(twin, temperature=4.0, alpha=1.0)(other, batch).item()
    assert loss(other, batch).item() == pytest.approx(by_twin, rel=1e-6)
    assert by_twin > 0.01
    distil(start, other, toys.config(), number=0, name="distil/test", kept=small.kept, dice=Rng(0, "test"))


def test_vocabularies_that_do_not_meet_are_refused() -> None:
    start = toys.Start(toys.teacher())
    small = rebuilt(pico.tokenizer(), range(280)).kept
    fewer = student_of(start.model, vocabulary=200, seed=0)
    for kept, told in ((None, "nothing says which"), (small, "do not lead from 200 tokens")):
        with pytest.raises(FailedPrecondition, match=told):
            distilled(start, fewer, toys.config(), number=0, name="distil/test", kept=kept)
    with pytest.raises(FailedPrecondition, match="rows' tokenizer has 280 tokens, and the student 200"):
        distilled(start, fewer, toys.config(), number=0, name="distil/test", kept=range(200))
