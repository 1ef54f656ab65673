"""Layers and importance: grouping, choosing, putting together, crossing over, weighing."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.operators.crossover import crossover
from agentforge.phase2_evomerge.operators.dfs import weighted_mean
from agentforge.phase2_evomerge.operators.franken import choose_layers, frankenmerge, layers_of
from agentforge.phase2_evomerge.operators.importance import evened, fisher
from agentforge.phase2_evomerge.operators.tensors import Tensors, digest
from agentforge.train.state import own_tensors
from tests.unit.evomerge.families import drawn_family, rows, titan, titan_loss
from tests.unit.evomerge.tensors import close, normal, same_bits, vector

LLAMA = [
    "model.embed_tokens.weight",
    "model.layers.0.mlp.up.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.10.mlp.up.weight",
    "model.norm.weight",
    "lm_head.weight",
]
GPT2 = ["transformer.wte.weight", "transformer.h.3.ln_1.bias", "transformer.ln_f.bias"]
NESTED = ["model.decoder.layers.2.fc1.weight", "model.decoder.embed_tokens.weight", "model.scale", "lm_head.weight"]


def test_layers_of_models_of_others() -> None:
    assert layers_of(LLAMA) == {
        "embed_tokens": [LLAMA[0]],
        "layers.0": LLAMA[1:3],
        "layers.10": [LLAMA[3]],
        "norm": [LLAMA[4]],
        "lm_head": [LLAMA[5]],
    }
    assert set(layers_of(GPT2)) == {"wte", "h.3", "ln_f"}
    assert set(layers_of(NESTED)) == {"layers.2", "embed_tokens", "scale", "lm_head"}
    assert layers_of(["model.layers.1.experts.7.up"]) == {"layers.1": ["model.layers.1.experts.7.up"]}


def test_layers_of_titan() -> None:
    names = own_tensors(titan()).keys()
    layers = layers_of(names)
    assert sorted(name for members in layers.values() for name in members) == sorted(names)
    assert {"layers.0", "layers.1", "embed_tokens", "halting", "strength"} <= set(layers)
    assert all(name.startswith("layers.1.") for name in layers["layers.1"])
    assert layers["strength"] == sorted(name for name in names if name.startswith("strength."))


def test_the_best_layer_is_found_by_putting_each_into_the_center() -> None:
    """Parent l mod 3 has what is wanted in layer l; the loss sees all layers at once."""
    _, parents = drawn_family(0.5, 0.0)
    center = {name: tensor.clone() for name, tensor in parents[0].items()}
    wanted = {layer: number % 3 for number, layer in enumerate(layers_of(center))}
    target = frankenmerge(parents, wanted)
    seen = []

    def loss_of(tensors: Tensors) -> float:
        seen.append(digest(tensors))
        assert tensors["model.steps"].tolist() == [0, 2**40]
        return sum(float((tensors[n] - t).norm()) for n, t in target.items() if t.is_floating_point())

    choice = choose_layers(parents, center, loss_of)
    floats = {
        layer for layer, names in layers_of(center).items() if any(center[n].is_floating_point() for n in names)
    }
    assert {layer: choice[layer] for layer in floats} == {layer: wanted[layer] for layer in floats}
    assert len(seen) == 3 * len(choice)
    assert len(set(seen)) > 2 * len(floats)


def test_ties_go_to_the_first_and_nan_to_nobody() -> None:
    _, parents = drawn_family(0.5, 0.0)
    assert set(choose_layers(parents, parents[0], lambda _: 1.0).values()) == {0}
    losses = iter([math.nan, 2.0, 1.0] * len(layers_of(parents[0])))
    assert set(choose_layers(parents, parents[0], lambda _: next(losses)).values()) == {2}
    losses = iter([math.inf, math.nan, 1e300] * len(layers_of(parents[0])))
    assert set(choose_layers(parents, parents[0], lambda _: next(losses)).values()) == {2}


def test_frankenmerge_takes_layers_whole_and_buffers_from_the_first() -> None:
    _, parents = drawn_family(0.5, 0.0)
    choice = {layer: 2 if layer == "layers.1" else 1 for layer in layers_of(parents[0])}
    made = frankenmerge(parents, choice)
    for name, tensor in made.items():
        parent = 0 if name in ("model.steps", "model.mask") else 2 if "layers.1" in name else 1
        assert torch.equal(tensor, parents[parent][name])
        assert tensor.data_ptr() != parents[parent][name].data_ptr()


def test_dimensions_are_checked() -> None:
    _, parents = drawn_family(0.5, 0.0)
    parents[1]["model.layers.0.mlp.weight"] = torch.zeros(48, 17)
    for refused in (
        lambda: frankenmerge(parents, dict.fromkeys(layers_of(parents[0]), 0)),
        lambda: choose_layers(parents, parents[0], lambda _: 0.0),
        lambda: crossover(parents[0], parents[1], Rng(1, "test")),
    ):
        with pytest.raises(InvalidInput, match=r"'model.layers.0.mlp.weight' is \(48, 16\).*\(48, 17\)"):
            refused()


def test_crossover_takes_each_layer_from_either() -> None:
    _, (one, other, _) = drawn_family(0.5, 0.0)
    times, from_other, copies = 400, dict.fromkeys(layers_of(one), 0), 0
    for number in range(times):
        made = crossover(one, other, Rng(5, "test", number), rate=0.7)
        copies += digest(made) == digest(one)
        for layer, names in layers_of(one).items():
            weights = [name for name in names if one[name].is_floating_point()]
            sides = {torch.equal(made[name], other[name]) for name in weights}
            assert sides in ({True}, {False}) or not weights
            from_other[layer] += sides == {True}
        assert torch.equal(made["model.steps"], one["model.steps"])
    weighty = [layer for layer in from_other if layer not in ("steps", "mask")]
    for layer in weighty:
        assert abs(from_other[layer] / times - 0.35) < 0.08
    # No crossover, or one in which every coin fell for the first.
    assert abs(copies / times - (0.3 + 0.7 * 0.5 ** len(weighty))) < 0.08


def test_crossover_is_deterministic() -> None:
    _, (one, other, _) = drawn_family(0.5, 0.0)
    made = {digest(crossover(one, other, Rng(5, "test", 3), rate=1.0)) for _ in range(2)}
    assert len(made) == 1
    assert digest(crossover(one, other, Rng(5, "test", 1), rate=0.0)) == digest(one)


def test_weighted_mean_by_hand() -> None:
    parents = [vector(1.0, 2.0, 4.0), vector(3.0, 4.0, -4.0)]
    importances = [vector(3.0, 1.0, 0.0), vector(1.0, 0.0, 0.0)]
    close(weighted_mean("w", parents, importances, 1e-9), [1.5, 2.0, 0.0])
    # The mean of all six is 5/6: a floor of .6 adds .5 to each.
    close(weighted_mean("w", parents, importances, 0.6), [1 + 2 * 1.5 / 5, 2 + 2 * 0.5 / 2, 0.0])


def test_without_any_importance_it_is_the_plain_mean() -> None:
    parents = [normal(seed, 40_000) for seed in range(3)]  # more than one piece
    made = weighted_mean("w", parents, [torch.zeros(40_000)] * 3, 0.01)
    close(made, torch.stack(parents).double().mean(0).float())
    assert same_bits(weighted_mean("w", [parents[0]] * 3, [normal(9, 40_000) ** 2] * 3, 0.01), parents[0])


def test_importance_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'w' of importance of parent 2 of 2 holds NaN"):
        weighted_mean("w", [vector(1.0), vector(2.0)], [vector(1.0), vector(math.nan)], 0.01)


class Line(nn.Module):
    """y = a·x + b, with a buffer, and a weight that plays no part."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.idle = (nn.Parameter(torch.tensor(value)) for value in (2.0, -1.0, 5.0))
        self.register_buffer("count", torch.tensor([3]))


def squared_error(model: Line, batch: Tensor) -> Tensor:
    return (model.a * batch[:, 0] + model.b - batch[:, 1]) ** 2


def test_fisher_by_hand() -> None:
    model = Line()
    batches = [torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])]
    # Errors 1 and 3: gradients of a 2·1·1 and 2·3·2, of b 2·1 and 2·3.
    made = fisher(model, batches, squared_error)
    assert {name: tensor.tolist() for name, tensor in made.items()} == {
        "a": (4 + 144) / 2,
        "b": (4 + 36) / 2,
        "idle": 0.0,
        "count": [0],
    }
    together = fisher(model, [torch.cat(batches)], squared_error)
    assert together["a"].item() == 7.0**2
    assert model.a.grad is None
    with pytest.raises(InvalidInput, match="at least one batch"):
        fisher(model, [], squared_error)
    model.a.data.fill_(math.nan)
    with pytest.raises(InvalidInput, match="gradient of model") as caught:
        fisher(model, batches, squared_error)
    assert caught.value.field == "a"


def test_fisher_of_a_titan() -> None:
    model = titan().train()
    before = digest(own_tensors(model))
    batches = [rows(seed, 1) for seed in range(3)]
    made = fisher(model, batches, titan_loss)
    assert model.training
    assert digest(own_tensors(model)) == before
    assert made.keys() == own_tensors(model).keys()
    assert all(tensor.min() >= 0 for tensor in made.values())
    assert digest(made) == digest(fisher(model, batches, titan_loss))


def test_fisher_of_a_titan_by_finite_differences() -> None:
    model, batches = titan().double(), [rows(seed, 1) for seed in range(2)]
    made = fisher(model, batches, titan_loss)
    for name in ("layers.0.mlp.up.weight", "embed_tokens.weight"):
        place = int(made[name].argmax())
        slopes = [_slope(model, name, place, 1e-4, batch) for batch in batches]
        assert made[name].reshape(-1)[place].item() == pytest.approx(
            (slopes[0] ** 2 + slopes[1] ** 2) / 2, rel=1e-3
        )


def _slope(model: Any, name: str, place: int, step: float, batch: Tensor) -> float:
    """By finite differences."""
    weight = model.eval().get_parameter(name).data.view(-1)
    start, losses = weight[place].item(), []
    with torch.no_grad():
        for change in (step, -step):
            weight[place] = start + change
            losses.append(titan_loss(model, batch).item())
    weight[place] = start
    return (losses[0] - losses[1]) / (2 * step)


def test_evened_importance_has_a_mean_of_one() -> None:
    given: Mapping[str, Tensor] = {"a": vector(1.0, 3.0), "b": vector(0.0, 12.0), "n": torch.tensor([7])}
    made = evened(given)
    close(made["a"], [0.25, 0.75])
    close(made["b"], [0.0, 3.0])
    assert made["n"].tolist() == [7]
    zero = {"a": torch.zeros(2)}
    assert not evened(zero)["a"].any()
