"""The eight combinations: all differ, none is another in numbers, all keep the parents' norm."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.phase2_evomerge.methods.slerp import Slerp, SlerpOptions
from agentforge.phase2_evomerge.operators.combination import COMBINATIONS, Combination, CombinationOptions
from agentforge.phase2_evomerge.operators.combine import combine
from agentforge.phase2_evomerge.operators.franken import layers_of
from agentforge.phase2_evomerge.operators.stages import interpolated, slerp_shares
from agentforge.phase2_evomerge.operators.tensors import Tensors, digest, distance, is_valid, norm
from agentforge.train.state import own_tensors, put_tensors
from tests.unit.evomerge.families import Family, drawn_family, rows, titan, titan_family, vector_of
from tests.unit.evomerge.tensors import close, normal, sources

# Of the parents' norm. Rounding alone makes 1e-7; the closest pair measured (Titan, .3 % away) is 2.7e-4 apart.
APART = 1e-4
# Of the parents' mean distance from the trunk: 1e-2 measured. Were SLERP to turn whole weights, it would be 2e-4.
APART_OF_DIFFERENCE = 5e-3

families = pytest.mark.parametrize(
    "family",
    [
        *(
            pytest.param(drawn_family(size, correlation), id=f"{size}-{correlation}")
            for size in (0.05, 0.2, 0.6)
            for correlation in (0.0, 0.5, 0.9)
        ),
        pytest.param(drawn_family(0.2, 0.3, parents=2), id="two"),
        pytest.param(drawn_family(0.2, 0.3, parents=5), id="five"),
        pytest.param(titan_family(), id="titan"),
        pytest.param(titan_family(1, 0.001), id="titan-near"),
    ],
)


def importance_of(parents: Sequence[Tensors]) -> list[dict[str, Tensor]]:
    """As a Fisher diagonal is: positive, spread over orders of magnitude, no two parents alike."""
    generator = torch.Generator().manual_seed(3)
    return [
        {n: torch.randn(t.shape, generator=generator) ** 4 for n, t in sorted(parent.items())} for parent in parents
    ]


def child(
    index: int, family: Family, seed: int = 42, options: CombinationOptions | None = None
) -> dict[str, Tensor]:
    base, parents = family
    choice = {layer: number % len(parents) for number, layer in enumerate(layers_of(parents[0]))}
    return combine(
        Combination(index),
        parents,
        base,
        seed=seed,
        layer_choice=choice,
        importance=importance_of(parents),
        options=options,
    )


def children(family: Family, options: CombinationOptions | None = None) -> list[dict[str, Tensor]]:
    return [child(index, family, options=options) for index in range(8)]


def mean_norm(parents: Sequence[Tensors]) -> float:
    return sum(map(norm, parents)) / len(parents)


@families
def test_all_eight_differ_by_far_more_than_rounding(family: Family) -> None:
    base, parents = family
    usual, spread = mean_norm(parents), sum(distance(p, base) for p in parents) / len(parents)
    made = children(family)
    for (i, one), (j, other) in itertools.combinations(enumerate(made), 2):
        apart = distance(one, other)
        assert apart > APART_OF_DIFFERENCE * spread, (i, j, apart / spread)
        assert apart > APART * usual, (i, j, apart / usual)
        assert not torch.allclose(vector_of(one), vector_of(other), rtol=1e-4, atol=1e-6)


@families
def test_all_eight_keep_the_parents_norm(family: Family) -> None:
    _, parents = family
    for made in children(family):
        assert 0.9 <= norm(made) / mean_norm(parents) <= 1.1
        for name, tensor in made.items():
            if tensor.is_floating_point():
                usual = math.sqrt(sum(float(parent[name].norm()) ** 2 for parent in parents) / len(parents))
                assert (0.9 - 1e-5) * usual <= float(tensor.norm()) <= (1.1 + 1e-5) * usual, name


@families
def test_none_is_a_multiple_of_another(family: Family) -> None:
    """Else the norm alone would tell them apart."""
    base, _ = family
    origin = vector_of(base)
    made = [vector_of(each) - origin for each in children(family)]
    for one, other in itertools.combinations(made, 2):
        assert torch.cosine_similarity(one, other, dim=0) < 1 - 1e-6


@families
def test_same_seed_same_bytes_and_only_dare_draws(family: Family) -> None:
    for combination in COMBINATIONS:
        made = digest(child(combination.index, family))
        assert made == digest(child(combination.index, family))
        assert (made != digest(child(combination.index, family, seed=43))) == (combination.task == "dare")


def test_the_names_are_the_seeds_own() -> None:
    assert [each.name for each in COMBINATIONS] == ["000", "001", "010", "011", "100", "101", "110", "111"]
    franken = Combination(6)
    assert (franken.interpolation, franken.task, franken.selection) == ("slerp", "ties", "franken")
    assert (COMBINATIONS[4].interpolation, COMBINATIONS[4].task, COMBINATIONS[4].selection) == (
        "slerp",
        "dare",
        "franken",
    )
    with pytest.raises(ValueError, match="0 to 7"):
        Combination(8)


def test_each_bit_changes_its_own_stage_only() -> None:
    """With all weight on one stage, the children that share its bit are one."""
    family = drawn_family(0.2, 0.3)
    nothing, all_of_it = 1e-12, 1 - 1e-12
    for stage, (task_share, selection_share) in enumerate(
        [(nothing, nothing), (all_of_it, nothing), (nothing, all_of_it)]
    ):
        made = children(family, CombinationOptions(task_share=task_share, selection_share=selection_share))
        for i, j in itertools.combinations(range(8), 2):
            same_bit = Combination(i).name[stage] == Combination(j).name[stage]
            assert (distance(made[i], made[j]) < 1e-6 * norm(made[i])) == same_bit, (stage, i, j)


def test_by_hand() -> None:
    """One layer of two weights, band wide open: 110 and 111."""
    base = {"w": torch.tensor([1.0, 1.0])}
    parents = [{"w": torch.tensor([2.0, 1.0])}, {"w": torch.tensor([1.0, 3.0])}]
    options = CombinationOptions(density=0.5, norm_band=1.0, importance_floor=1e-9)
    slerped = torch.tensor([1 + math.sqrt(0.5), 1 + 2 * math.sqrt(0.5)])  # a right angle between the differences
    tied = torch.tensor([2.0, 3.0])  # each difference is alone in its place
    two = (slerped + tied) / 2
    made = combine(Combination(6), parents, base, seed=0, layer_choice={"w": 1}, options=options)
    torch.testing.assert_close(made["w"], (two + parents[1]["w"]) / 2)
    importance = [{"w": torch.tensor([3.0, 1.0])}, {"w": torch.tensor([1.0, 1.0])}]
    made = combine(Combination(7), parents, base, seed=0, importance=importance, options=options)
    torch.testing.assert_close(made["w"], (two + torch.tensor([1.75, 2.0])) / 2)


def test_slerp_of_weights_is_the_registered_one_and_of_differences_starts_at_the_base() -> None:
    parents, base = [normal(seed, 50) for seed in range(3)], normal(9, 50)
    steps = [parent - base for parent in parents]
    for turned, expected in (
        ("weights", Slerp().merge(sources(*parents), SlerpOptions())),
        ("differences", base + Slerp().merge(sources(*steps), SlerpOptions())),
    ):
        options = CombinationOptions.model_validate({"slerp_of": turned})
        close(interpolated(Combination(4), sources(*parents, base=base), options), expected)


def test_a_fourth_parent_comes_in_with_a_quarter() -> None:
    """Four directions at right angles: the arc to the last one is 90° long."""
    each = slerp_shares([[float(i == j) for j in range(4)] for i in range(4)])
    assert each[3] == pytest.approx(math.sin(math.pi / 8))
    assert each[2] == pytest.approx(math.cos(math.pi / 8) * 0.5)
    assert sum(share**2 for share in each) == pytest.approx(1)


def test_parents_that_never_left_the_trunk_come_back_to_the_bit() -> None:
    base, parents = drawn_family(0.2, 0.3)
    for made in children((base, [parents[0]] * 3)):
        assert distance(made, parents[0]) > 0  # DARE and TIES thin out even what all parents agree on
    trunk = dict(parents[0])
    for made in children((trunk, [trunk] * 3)):
        assert digest(made) == digest(trunk)


def test_identical_parents_leave_the_task_bit_alone_to_tell_children_apart() -> None:
    base, parents = drawn_family(0.2, 0.3)
    made = [digest(each) for each in children((base, [parents[0]] * 3))]
    assert {made[i] for i in (0, 1, 4, 5)} == {made[0]}
    assert {made[i] for i in (2, 3, 6, 7)} == {made[2]}
    assert made[0] != made[2]


def test_opposite_parents_keep_norm_and_stay_finite() -> None:
    base, parents = drawn_family(0.3, 0.0, parents=1)
    mirrored = {
        name: 2 * base[name] - tensor if tensor.is_floating_point() else tensor
        for name, tensor in parents[0].items()
    }
    family = base, [parents[0], mirrored]
    made = children(family)
    assert len({digest(each) for each in made}) == 4  # no single arc: SLERP is Linear
    for each in made:
        assert is_valid(each)
        assert 0.9 <= norm(each) / mean_norm(family[1]) <= 1.1
    literal = CombinationOptions(slerp_of="weights")
    assert len({digest(each) for each in children(family, literal)}) == 8


def test_zero_tensors_stay_zero_and_a_zero_parent_is_no_trouble() -> None:
    base, parents = drawn_family(0.2, 0.3)
    name = "model.layers.1.mlp.weight"
    for model in (base, *parents):
        model[name] = torch.zeros_like(model[name])
    parents[0]["model.embed_tokens.weight"].zero_()
    for made in children((base, parents)):
        assert is_valid(made)
        assert not made[name].any()


def test_inputs_are_not_changed_and_nothing_is_shared_with_them() -> None:
    base, parents = family = drawn_family(0.2, 0.3)
    before = [digest(each) for each in (base, *parents)]
    for made in children(family):
        for tensor in made.values():
            tensor.zero_()
    assert before == [digest(each) for each in (base, *parents)]


def test_buffers_are_the_first_parents() -> None:
    for made in children(drawn_family(0.2, 0.3)):
        assert made["model.steps"].tolist() == [0, 2**40]
        assert made["model.mask"].tolist() == [True, True]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("index", range(8))
def test_not_finite_parents_and_bases_are_refused_by_tensor(bad: float, index: int) -> None:
    for broken, who in ((1, "parent 2 of 3"), (None, "base")):
        base, parents = drawn_family(0.2, 0.3)
        model = base if broken is None else parents[broken]
        model["model.layers.1.mlp.weight"][3, 4] = bad
        with pytest.raises(InvalidInput, match=who) as caught:
            child(index, (base, parents))
        assert (caught.value.reason, caught.value.field) == ("NOT_FINITE", "model.layers.1.mlp.weight")


def test_different_models_are_refused_by_tensor() -> None:
    base, parents = drawn_family(0.2, 0.3)
    parents[2]["model.norm.weight"] = torch.ones(17)
    with pytest.raises(InvalidInput, match=r"\(16,\) in model 1 and \(17,\) in model 3") as caught:
        child(0, (base, parents))
    assert caught.value.field == "model.norm.weight"
    del parents[2]["model.norm.weight"]
    with pytest.raises(InvalidInput, match="only one of models 1 and 3"):
        child(0, (base, parents))
    with pytest.raises(InvalidInput, match="two parents"):
        child(0, (base, parents[:1]))


def test_what_a_stage_needs_is_asked_for() -> None:
    base, parents = drawn_family(0.2, 0.3)
    with pytest.raises(ValueError, match="choice of layers"):
        combine(Combination(0), parents, base, seed=0)
    with pytest.raises(ValueError, match="importance"):
        combine(Combination(1), parents, base, seed=0)


def test_tied_weights_stay_tied_and_children_speak() -> None:
    family = titan_family()
    for made in children(family):
        model = titan(7)
        put_tensors(model, made)
        assert "lm_head.weight" not in made
        assert model.lm_head.weight is model.embed_tokens.weight
        assert torch.equal(model.lm_head.weight, made["embed_tokens.weight"])
        assert digest(own_tensors(model)) == digest(made)
        assert model(input_ids=rows(5)).logits.isfinite().all()


def test_dare_is_unbiased_where_all_parents_are_one() -> None:
    """¾ of the parent and ¼ of the base plus DARE: over many seeds, the parent."""
    base, parents = drawn_family(0.2, 0.3)
    family = base, [parents[0]] * 3
    wide = CombinationOptions(norm_band=1.0)
    count = 300
    mean = sum(vector_of(child(0, family, seed=Rng(1, "test", s).seed, options=wide)) for s in range(count)) / count
    step = vector_of(parents[0]) - vector_of(base)
    # Each difference d comes out as d + ¼ · noise, whose variance is 3 d² (9 of each of three independent masks).
    expected_error = float(step.norm()) * 0.25 * math.sqrt(3 / count)
    assert 0.8 * expected_error < float((mean - vector_of(parents[0])).norm()) < 1.25 * expected_error
