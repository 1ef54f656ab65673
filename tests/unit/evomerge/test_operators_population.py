"""Whole models as vectors, mutation, diversity and selection."""

import math

import pytest
import torch

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.methods.ties import TiesOptions
from agentforge.phase2_evomerge.operators.diversity import recipe_distance
from agentforge.phase2_evomerge.operators.mutation import adaptive_sigma, mutate
from agentforge.phase2_evomerge.operators.selection import ranked, tournament
from agentforge.phase2_evomerge.operators.tensors import digest, distance, first_not_finite, is_valid, merged, norm
from agentforge.phase2_evomerge.sketch import Sketch, sketch_distance
from tests.unit.evomerge.families import drawn_family, titan_family, vector_of
from tests.unit.evomerge.tensors import close, normal, vector


def test_norm_and_distance_are_of_all_weights_as_one_vector() -> None:
    one = {"a": vector(3.0, 0.0), "b": vector(4.0), "n": torch.tensor([1_000])}
    other = {"a": vector(3.0, 12.0), "b": vector(-1.0), "n": torch.tensor([0])}
    assert norm(one) == 5
    assert distance(one, other) == 13
    large = {"w": normal(1, 100_000) * 1e-3 + 10}
    assert norm(large) == pytest.approx(float(large["w"].double().norm()), rel=1e-12)
    with pytest.raises(InvalidInput, match="'b'"):
        distance(one, {"a": one["a"], "n": one["n"]})


def test_norm_does_not_depend_on_threads() -> None:
    tensors, threads = {"w": normal(1, 300_000)}, torch.get_num_threads()
    norms = set()
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        norms.add(norm(tensors))
    torch.set_num_threads(threads)
    assert len(norms) == 1


def test_digest_tells_names_types_shapes_and_bytes_apart() -> None:
    models = [
        {"a": vector(1.0, 2.0)},
        {"b": vector(1.0, 2.0)},
        {"a": vector(1.0, 2.0).view(torch.int32)},
        {"a": vector(1.0, 2.0)[None]},
        {"a": vector(1.0, 2.0000002)},
        {"a": vector(0.0)},
        {"a": vector(-0.0)},
        {"a": torch.tensor(0.0)},
        {"a": vector(1.0, 2.0).bfloat16()},
        {"a": torch.tensor([True])},
    ]
    assert len({digest(model) for model in models}) == len(models)
    ordered = {"a": vector(1.0), "b": vector(2.0)}
    assert digest(ordered) == digest(dict(reversed(ordered.items())))
    square = normal(1, 4, 3)
    assert digest({"a": square.T.contiguous().T}) == digest({"a": square})


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    tensors = {"c": vector(math.nan), "b": vector(1.0, math.inf), "a": vector(1.0), "n": torch.tensor([1])}
    assert first_not_finite(tensors) == "b"
    assert not is_valid(tensors)
    assert is_valid({"a": vector(1e38), "empty": torch.zeros(0), "n": torch.tensor([1])})


def test_registered_methods_merge_whole_models() -> None:
    base, parents = drawn_family(0.2, 0.3)
    made = merged("linear", parents, None, None, 0)
    close(made["model.norm.weight"], torch.stack([parent["model.norm.weight"] for parent in parents]).mean(0))
    assert made["model.steps"].tolist() == [0, 2**40]
    made["model.steps"].zero_()
    assert parents[0]["model.steps"].tolist() == [0, 2**40]
    dense, sparse = (merged("ties", parents, base, TiesOptions(density=density), 0) for density in (1.0, 0.2))
    kept = [float((vector_of(made) != vector_of(base)).double().mean()) for made in (dense, sparse)]
    assert kept[0] == 1
    assert 0.2 < kept[1] < 0.6
    dare = [digest(merged("dare", parents, base, None, seed)) for seed in (1, 1, 2)]
    assert dare[0] == dare[1] != dare[2]


def test_methods_refuse_by_tensor_and_by_count() -> None:
    base, parents = drawn_family(0.2, 0.3)
    with pytest.raises(InvalidInput, match="slerp merges 2 to 3 models, and 1 were given"):
        merged("slerp", parents[:1], None, None, 0)
    with pytest.raises(InvalidInput, match="and 4 were given"):
        merged("slerp", [*parents, parents[0]], None, None, 0)
    with pytest.raises(InvalidInput, match="common base"):
        merged("ties", parents, None, None, 0)
    parents[1]["model.norm.weight"][2] = math.nan
    with pytest.raises(InvalidInput, match=r"'model.norm.weight' of parent 2 of 3 holds NaN"):
        merged("linear", parents, base, None, 0)


def test_mutation_adds_noise_of_sigma_to_a_share_of_rate() -> None:
    tensors = {"a": normal(1, 300, 400), "b": normal(2, 50_000), "n": torch.arange(5), "m": torch.tensor([True])}
    before = digest(tensors)
    made = mutate(tensors, Rng(1, "test"), sigma=0.05, rate=0.02)
    assert digest(tensors) == before
    for name, expected in (("a", 2_400), ("b", 1_000)):
        change = (made[name].double() - tensors[name].double()).reshape(-1)
        changed = change[change != 0]
        assert abs(len(changed) - expected) < 5 * math.sqrt(expected)
        assert float(changed.square().mean().sqrt()) == pytest.approx(0.05, rel=0.1)
        assert abs(float(changed.mean())) < 5 * 0.05 / math.sqrt(expected)
        places = change.nonzero().double()
        assert float(places.mean()) == pytest.approx(change.numel() / 2, rel=0.1)  # all over the tensor
    assert torch.equal(made["n"], tensors["n"])
    assert torch.equal(made["m"], tensors["m"])
    assert made["n"].data_ptr() != tensors["n"].data_ptr()


def test_mutation_counts_are_binomial_even_of_scalars() -> None:
    changed = [
        int((mutate({"w": torch.zeros(20)}, Rng(1, "test", i), rate=0.25)["w"] != 0).sum()) for i in range(800)
    ]
    counts = torch.tensor(changed).double()
    assert float(counts.mean()) == pytest.approx(5, rel=0.08)
    assert float(counts.var()) == pytest.approx(20 * 0.25 * 0.75, rel=0.2)
    hits = sum(bool(mutate({"w": torch.tensor(0.0)}, Rng(2, "test", i), rate=0.25)["w"]) for i in range(800))
    assert hits == pytest.approx(200, rel=0.2)


def test_mutation_is_deterministic_and_its_ends_are_ends() -> None:
    trunk, _ = titan_family()
    one, again, other = (mutate(trunk, Rng(7, "evomerge/mutate", 1, child)) for child in (0, 0, 1))
    assert digest(one) == digest(again) != digest(other)
    assert digest(mutate(dict(reversed(trunk.items())), Rng(7, "evomerge/mutate", 1, 0))) == digest(one)
    assert digest(mutate(trunk, Rng(1, "test"), rate=0.0)) == digest(trunk)
    assert digest(mutate(trunk, Rng(1, "test"), sigma=0.0)) == digest(trunk)
    assert (vector_of(mutate(trunk, Rng(1, "test"), rate=1.0)) != vector_of(trunk)).double().mean() > 0.99


def test_transposed_weights_are_mutated_too() -> None:
    tensors = {"w": normal(1, 40, 30).T}
    made = mutate(tensors, Rng(1, "test"), rate=0.5)
    assert 0.4 < float((made["w"] != tensors["w"]).double().mean()) < 0.6


def test_the_fifth_rule() -> None:
    assert adaptive_sigma(0.01, 0.2) == 0.01
    assert adaptive_sigma(0.01, 0.5) == pytest.approx(0.01 / 0.85)
    assert adaptive_sigma(0.01, 0.0) == pytest.approx(0.0085)


def test_recipe_distance_is_measured_in_ranges() -> None:
    bounds = [(0.0, 1.0), (-10.0, 10.0)]
    assert recipe_distance([0.0, -10.0], [1.0, 10.0], bounds) == 1
    assert recipe_distance([0.5, 3.0], [0.25, 3.0], bounds) == 0.125
    with pytest.raises(ValueError, match="zip"):
        recipe_distance([0.5], [0.5, 1.0], bounds)


def test_weight_distance_is_relative_to_the_norm() -> None:
    models = [{"w": vector(5.0, 0.0)}, {"w": vector(0.0, 5.0)}, {"w": vector(5.0, 0.0)}]
    sketch = Sketch(models[0])
    assert sketch_distance([sketch.of(each) for each in models]) == pytest.approx(2 * math.sqrt(2) / 3)


def test_a_sketch_of_a_large_model_is_a_few_of_its_weights() -> None:
    tensors = {"a": torch.arange(9_000.0).view(90, 100), "b": -torch.arange(1.0, 1_001.0), "n": torch.arange(3)}
    drawn = Sketch(tensors).of(tensors)
    assert len(drawn) == len(set(drawn.tolist())) == 4_096
    assert 0.07 < float((drawn < 0).mean()) < 0.13  # as many of each tensor as it is large


def test_ranking() -> None:
    assert ranked([1.0, 3.0, 3.0, -math.inf, 2.0]) == [1, 2, 4, 0, 3]
    with pytest.raises(InvalidInput, match="individual 1 is NaN"):
        ranked([1.0, math.nan])


def test_tournaments_are_won_by_the_fittest_drawn() -> None:
    fitness = [0.0, 5.0, 1.0, 5.0, 2.0]
    assert {tournament(fitness, 5, Rng(1, "test", i)) for i in range(20)} == {1}
    assert {tournament(fitness, 1, Rng(1, "test", i)) for i in range(200)} == set(range(5))
    won = [tournament(fitness, 3, Rng(1, "test", i)) for i in range(2_000)]
    # Of the 10 sets of three, 6 hold number 1, 3 of the others number 3, and one is {0, 2, 4}.
    assert [round(won.count(index) / 200) for index in range(5)] == [0, 6, 0, 3, 1]
    assert won[7] == tournament(fitness, 3, Rng(1, "test", 7))
    with pytest.raises(InvalidInput):
        tournament([math.nan, 1.0], 1, Rng(1, "test"))
