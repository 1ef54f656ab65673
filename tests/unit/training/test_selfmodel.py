"""The model predicts its own states: of the right layers and pass, and by heads that nobody else knows of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentforge.data.generate import ItemStream
from agentforge.data.rows import IGNORED
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.phase5_training.configs.selfmodel import SelfModelConfig
from agentforge.phase5_training.selfmodel import (
    SelfModel,
    calibration,
    calibration_error,
    complexity,
    effective_rank,
    layers_of,
    participation_ratio,
    predictions,
    relative_error,
    tapped,
    weight_spread,
)
from agentforge.train.loop import Training, model_loss
from tests.unit.train.helpers import Context
from tests.unit.training import parts


def batch() -> dict[str, Tensor]:
    """The second row is padded."""
    ids_BT = torch.randint(20, 60, (2, 12), generator=torch.Generator().manual_seed(2))
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[1, 7:] = 0
    return {"input_ids": ids_BT, "labels": ids_BT.masked_fill(mask_BT == 0, IGNORED), "attention_mask": mask_BT}


def self_model(model: nn.Module, **settings: Any) -> SelfModel:
    return SelfModel(
        model, SelfModelConfig(**{"weight": 0.1, **settings}), parts.config(schedule="constant", lr=0.01)
    )


def gradient(model: nn.Module, name: str) -> float:
    return sum(float(p.grad.abs().sum()) for n, p in model.named_parameters() if name in n and p.grad is not None)


def test_depths_are_layers_each_once_and_never_the_last() -> None:
    assert tapped([0.27, 0.55, 0.82], 11) == [2, 5, 8]
    assert tapped([0.27, 0.55, 0.82], 2) == [0]
    assert tapped([0.01, 0.99], 5) == [0, 3]
    with pytest.raises(InvalidInput, match="one layer") as caught:
        tapped([0.5], 1)
    assert caught.value.reason == "TOO_SHALLOW"
    with pytest.raises(InvalidInput, match="0 lists of layers"):
        layers_of(nn.Linear(2, 2))


@pytest.mark.parametrize("kind", parts.KINDS)
def test_states_are_of_the_last_pass_and_errors_of_real_tokens(kind: str) -> None:
    model = parts.model(kind).train()
    one = self_model(model, weight=0.5)
    heard: list[Tensor] = []
    layers_of(model)[0].register_forward_hook(
        lambda _layer, _args, out: heard.append(out[0] if isinstance(out, tuple) else out)
    )
    given = batch()
    model_loss(model, given)
    assert (len(heard) > 1) == kind.endswith("titan")
    state_ND = heard[-1][given["attention_mask"].bool()]
    with torch.no_grad():
        one.heads["0"].bias.fill_(0.7)  # type: ignore[operator]
        model(**given)  # an evaluation amid the training: nobody listens
    by_hand = (0.7 - state_ND / state_ND.square().mean().sqrt()).square().mean()
    assert one.loss(given["attention_mask"]).item() == pytest.approx(0.5 * by_hand.item(), rel=1e-5)
    assert by_hand.item() != pytest.approx(1, rel=1e-3)


def test_the_error_is_relative_to_the_states_size() -> None:
    state_ND = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    for size in (1e-3, 1.0, 1e3):
        assert relative_error(torch.zeros(5, 3), size * state_ND).item() == pytest.approx(1)
        half_ND = state_ND / state_ND.square().mean().sqrt() / 2
        assert relative_error(half_ND, size * state_ND).item() == pytest.approx(0.25)
    assert relative_error(torch.zeros(5, 3), torch.zeros(5, 3)).item() == 0


@pytest.mark.parametrize("kind", parts.KINDS)
def test_states_learn_to_be_predictable_unless_detached(kind: str) -> None:
    """Heads of zero pass nothing back to what they predict from: what arrives, the predicted state has learned."""
    for detach in (False, True):
        model = parts.model(kind)
        one = self_model(model, detach=detach)
        model_loss(model, batch())
        loss = one.loss(batch()["attention_mask"])
        assert loss.item() == pytest.approx(0.1), "heads that say nothing have an error of 1"
        loss.backward()  # type: ignore[no-untyped-call]
        assert (gradient(model, "layers.0.") > 0) == (not detach)
        assert gradient(model, "layers.1.") == 0 or kind.endswith("titan")  # whose passes all learn
        assert gradient(one.heads, "weight") > 0


def test_a_state_is_predicted_from_the_next_one() -> None:
    model = parts.model("llama", num_hidden_layers=4)
    one = self_model(model, depths=[0.25, 0.5], predicted_from="next", detach=True)
    assert one.taps == [0, 1]
    with torch.no_grad():
        one.heads["0"].weight.copy_(torch.eye(32))  # type: ignore[operator]
    model_loss(model, batch())
    one.loss(batch()["attention_mask"]).backward()  # type: ignore[no-untyped-call]
    found = [gradient(model, f"layers.{number}.") > 0 for number in range(4)]
    assert found == [True, True, False, False]


def test_heads_learn_and_their_tensors_are_all_there_is_to_keep() -> None:
    model, given = parts.model("llama").requires_grad_(False), batch()
    model.get_input_embeddings().requires_grad_(True)  # gradients are taken, and nobody uses them
    one, other = self_model(model), self_model(model)

    def step(self_model: SelfModel, number: int) -> float:
        model_loss(model, given)
        loss = self_model.loss(given["attention_mask"])
        loss.backward()  # type: ignore[no-untyped-call]
        self_model.after_step(number, 1.0)
        return loss.item()

    losses = [step(one, number) for number in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    other.load({name: tensor.clone() for name, tensor in one.tensors().items()})
    assert step(one, 30) == step(other, 30)
    parts.assert_equal(one.tensors(), other.tensors())
    assert [m.name for m in one.measurements(3)] == ["forge/self_model_loss/1"]
    one.close()
    model_loss(model, given)
    with pytest.raises(KeyError):
        one.loss(given["attention_mask"])


@pytest.mark.parametrize("kind", parts.KINDS)
def test_off_it_is_as_if_it_had_never_been(kind: str, tmp_path: Path) -> None:
    def training(on: bool | None) -> Training:
        model = parts.model(kind)
        if on is None:
            return Training(model, parts.loader(), parts.config(steps=3))
        one = self_model(model, weight=0.1 if on else 0.0)
        return Training(
            model, parts.loader(), parts.config(steps=3), parts={"selfmodel": one},
            loss_of=lambda model, given: model_loss(model, given) + one.loss(given["attention_mask"]),
        )  # fmt: skip

    without, off, on = training(None), training(False), training(True)
    before = torch.get_rng_state()
    training(True)
    assert torch.equal(torch.get_rng_state(), _after_model(kind, before)), "heads draw nothing"
    for name, each in (("without", without), ("off", off), ("on", on)):
        each.run(Context(tmp_path / name))
    parts.assert_equal(parts.weights(off), parts.weights(without))
    assert off.parts["selfmodel"].tensors() == {}
    assert any(not torch.equal(a, parts.weights(on)[n]) for n, a in parts.weights(off).items())
    on.model.save_pretrained(tmp_path / "saved")  # type: ignore[operator]
    assert on.model.state_dict().keys() == off.model.state_dict().keys()


def _after_model(kind: str, before: Tensor) -> Tensor:
    torch.set_rng_state(before)
    parts.model(kind)
    return torch.get_rng_state()


@pytest.mark.parametrize("kind", ["ternary titan", "llama"])
def test_killed_it_ends_the_same(kind: str, tmp_path: Path) -> None:
    made = []

    def make() -> Training:
        model = parts.model(kind)
        one = self_model(model)
        made.append(one)
        return Training(
            model, parts.loader(), parts.config(steps=5), parts={"selfmodel": one},
            loss_of=lambda model, given: model_loss(model, given) + one.loss(given["attention_mask"]),
        )  # fmt: skip

    parts.assert_killed_is_whole(make, tmp_path, (1, 3))
    parts.assert_equal(made[-1].tensors(), made[0].tensors())


def test_directions_that_states_vary_in() -> None:
    axes_ND = torch.cat([torch.eye(4), -torch.eye(4)]) + 3  # four directions alike, about a mean
    assert participation_ratio(axes_ND) == pytest.approx(4)
    assert effective_rank(axes_ND) == pytest.approx(4)
    line_ND = torch.arange(5.0)[:, None] * torch.tensor([1.0, 2.0, -1.0])
    assert participation_ratio(line_ND) == pytest.approx(1)
    assert effective_rank(line_ND) == pytest.approx(1)
    two_ND = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])  # powers 18 and 2, sizes 3 : 1
    assert participation_ratio(two_ND) == pytest.approx(20**2 / (18**2 + 2**2))
    assert effective_rank(two_ND) == pytest.approx(4 / 3**0.75)
    assert participation_ratio(torch.ones(4, 3)) == effective_rank(torch.ones(4, 3)) == 0


def test_spread_of_the_weights() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0], [1.0, -1.0]]))
    assert weight_spread(layer) == {"weight": pytest.approx((4 / 3) ** 0.5)}


def test_calibration_error_by_hand() -> None:
    assert calibration_error([1.0, 1.0], [True, True]) == 0
    assert calibration_error([1.0, 1.0], [False, False]) == 1
    assert calibration_error([0.5, 0.5], [True, False]) == 0
    # ]0.6, 0.7]: sure 0.7, right 0.5; ]0.8, 0.9]: sure 0.85, right 1: weighed 2 : 1.
    assert calibration_error([0.7, 0.7, 0.85], [True, False, True]) == pytest.approx((2 * 0.2 + 0.15) / 3)
    # One bin for all: the errors of a timid and a bold half cancel out.
    assert calibration_error([0.2, 0.8], [True, False], bins=1) == pytest.approx(0)
    assert calibration_error([0.2, 0.8], [True, False]) == pytest.approx(0.8)
    assert calibration_error([0.0, 0.1], [True, True]) == pytest.approx(0.95), "0 is in the first bin"


def test_predictions_are_of_the_tokens_to_be_said() -> None:
    items = ItemStream("arithmetic", Split.TEST, 1, (1,)).distinct(5)
    model: Any = parts.model("llama").eval()
    sure, right = predictions(model, parts.codec(), items, batch=2)
    assert len(sure) == len(right) == sum(sum(parts.codec().item_ids(item)[1]) for item in items)
    ids, learned = parts.codec().item_ids(items[0])
    with torch.no_grad():
        logits_TV = model(input_ids=torch.tensor([ids])).logits[0]
    alone = [logits_TV[at - 1].double().softmax(-1) for at, said in enumerate(learned) if said]
    found = dict(zip((round(each, 5) for each in sure), right, strict=True))
    for place, chance_V in zip([at for at, said in enumerate(learned) if said], alone, strict=True):
        assert found[round(chance_V.max().item(), 5)] == (int(chance_V.argmax()) == ids[place])
    measured = calibration(model, parts.codec(), items, name="x")
    assert measured.value == pytest.approx(calibration_error(sure, right), abs=1e-6)


@pytest.mark.parametrize("kind", parts.KINDS)
def test_complexity_of_a_model(kind: str) -> None:
    items = ItemStream("arithmetic", Split.TEST, 1, (1,)).distinct(8)
    model = parts.model(kind).eval()
    found = {each.name: each.value for each in complexity(model, parts.codec(), items, [0.5], prefix="x")}
    assert set(found) == {"x/weight_spread", "x/participation_ratio/1", "x/effective_rank/1"}
    assert 1 < found["x/participation_ratio/1"] < found["x/effective_rank/1"] < 32
    assert not layers_of(model)[0]._forward_hooks, "it leaves nothing behind"
