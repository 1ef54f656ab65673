"""The whole phase by every algorithm: the champion is what its record says, its numbers what anybody measures."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split, split_of
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.rng import Rng
from agentforge.models import TitanForCausalLM
from agentforge.phase2_evomerge.evaluation.questions import Questions
from agentforge.phase2_evomerge.methods import METHODS
from agentforge.phase2_evomerge.operators.combination import COMBINATIONS
from agentforge.phase2_evomerge.operators.tensors import Tensors, merged
from agentforge.train.evaluate import answer_accuracy
from agentforge.train.state import own_tensors
from tests import pico
from tests.unit.evomerge.phases import FAMILIES, SPECIALISTS, Merging, ask, family, given

TOURNAMENT = {"selection": "tournament", "crossover": 0.7, "mutation": {"adaptive": True}}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "cma_es": {"algorithm": "cma_es"},
    "genetic": {"algorithm": "genetic", "generations": 4},
    "tournament": {"algorithm": "genetic", "generations": 4, "genetic": TOURNAMENT},
    "nsga2": {"algorithm": "nsga2"},
}


@pytest.fixture(scope="module")
def runs(volume: Path) -> dict[str, Merging]:
    return {name: ask(volume, f"whole-{name}", **changes).go() for name, changes in ALGORITHMS.items()}


@pytest.fixture(params=ALGORITHMS)
def run(runs: dict[str, Merging], request: pytest.FixtureRequest) -> Merging:
    return runs[request.param]


def tensors_of(place: Path) -> dict[str, torch.Tensor]:
    return own_tensors(AutoModelForCausalLM.from_pretrained(place))


def of_volume(volume: Path, name: str) -> dict[str, torch.Tensor]:
    return tensors_of(volume / "mine" / name)


def same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_champion_loads_and_speaks(run: Merging) -> None:
    model = AutoModelForCausalLM.from_pretrained(run.output)
    assert isinstance(model, TitanForCausalLM)
    assert model.config.act_threshold == 0.99, "the largest of the parents'"
    assert all(tensor.isfinite().all() for tensor in model.parameters())
    ids = torch.tensor([Codec(pico.tokenizer()).ids("Q: a1 b2 ; a A:")])
    assert model.generate(ids, max_new_tokens=2).shape[1] > ids.shape[1]


def test_the_best_is_never_lost(run: Merging) -> None:
    best = run.values("evomerge/best_fitness")
    generations = run.config.generations + 1
    assert len(best) == generations
    assert best == sorted(best)
    log = run.record["evolution_log"]
    assert log["best_fitness_per_gen"] == best
    assert log["diversity_per_gen"] == run.values("evomerge/diversity")
    assert log["generations"] == run.config.generations
    assert run.people()[run.record["champion"]]["fitness"] == best[-1]
    assert best[-1] == max(each["fitness"] for each in run.people().values() if each["fitness"] is not None)


@pytest.mark.parametrize("name", ["cma_es", "genetic", "tournament"])
def test_generation_0_is_all_combinations(runs: dict[str, Merging], name: str) -> None:
    people = runs[name].people()
    assert [people[f"g0.{number}"]["combination"] for number in range(8)] == [each.name for each in COMBINATIONS]
    assert all(people[f"g0.{number}"]["parents"] == list(SPECIALISTS) for number in range(8))
    assert len({people[f"g0.{number}"]["fitness"] for number in range(8)}) > 4, "they are different models"


def test_usage_counts_what_was_merged(runs: dict[str, Merging]) -> None:
    for name, merges in (("cma_es", 8), ("genetic", 8 + 4 * 2), ("tournament", 8 + 4 * 2), ("nsga2", 0)):
        usage = runs[name].record["merge_combo_usage"]
        assert sum(usage.values()) == merges
        counted = [each.get("combination") for each in runs[name].people().values()]
        assert usage == {each.name: counted.count(each.name) for each in COMBINATIONS}


@pytest.mark.parametrize("name", ["genetic", "tournament"])
def test_the_family_tree_leads_to_the_models_that_were_given(runs: dict[str, Merging], name: str) -> None:
    run = runs[name]
    tree, people = run.record["family_tree"], run.people()
    champion = run.record["champion"]
    assert champion in tree
    reached, waiting = set(), [champion]
    while waiting:
        each = waiting.pop()
        reached.add(each)
        assert tree[each] == people[each]
        for parent in tree[each]["parents"]:
            if parent not in SPECIALISTS:
                assert generation(parent) < generation(each)
                waiting.append(parent)
    assert reached == tree.keys()
    assert run.record["origin"] == {key: value for key, value in tree[champion].items() if key != "fitness"}


def generation(name: str) -> int:
    found = re.fullmatch(r"g(\d+)\..+", name)
    assert found, name
    return int(found[1])


def test_mutants_come_from_the_best_and_merges_from_the_others(runs: dict[str, Merging]) -> None:
    people = runs["genetic"].people()
    first = sorted((f"g0.{number}" for number in range(8)), key=lambda name: -people[name]["fitness"])
    mutants = [people[f"g1.{number}"] for number in range(6)]
    assert [each["parents"] for each in mutants] == [[first[0]]] * 3 + [[first[1]]] * 3
    assert {each["kind"] for each in mutants} == {"mutant"}
    both = [each for each in runs["tournament"].people().values() if each["kind"] == "mutant"]
    assert {len(each["parents"]) for each in both} == {1, 2}, "some cross"
    assert len({each["sigma"] for each in both}) > 1, "sigma adapts"


@pytest.mark.parametrize("algorithm", ["cma_es", "nsga2"])
def test_a_recipe_makes_the_champion_again(runs: dict[str, Merging], volume: Path, algorithm: str) -> None:
    """Whoever evolved it."""
    run = runs["nsga2"]
    assert run.record["origin"]["kind"] == "recipe"
    recipe = run.record["origin"]["recipe"]
    again = ask(volume, f"again-{algorithm}", algorithm=algorithm, recipe={"given": recipe}).go()
    assert again.weights == run.weights
    assert again.values("evomerge/champion/fitness") == run.values("evomerge/champion/fitness")
    assert not again.values("evomerge/best_fitness"), "nothing evolves"
    assert "given recipe" in (again.output / "README.md").read_text()


def test_a_recipe_is_base_plus_weighted_changes(runs: dict[str, Merging], volume: Path) -> None:
    recipe = runs["nsga2"].record["origin"]["recipe"]
    trunk, parents = of_volume(volume, "trunk"), [of_volume(volume, name) for name in SPECIALISTS]
    champion = tensors_of(runs["nsga2"].output)
    seen = set()
    for name, tensor in champion.items():
        fitting = [group for group in recipe if f".{group}." in f".{name}."]
        group = fitting[0] if fitting else "rest"
        seen.add(group)
        changes = sum(w * (p[name] - trunk[name]).double() for w, p in zip(recipe[group], parents, strict=True))
        torch.testing.assert_close(tensor, (trunk[name] + changes).float(), atol=1e-6, rtol=1e-6)
    assert seen == recipe.keys()
    assert {"layers.0", "layers.1", "embed_tokens"} <= seen


OPTIONS: dict[str, dict[str, Any]] = {
    "linear": {"weights": [1.0, 2.0, 3.0]}, "slerp": {}, "ties": {"density": 0.3}, "dare": {"drop": 0.5},
    "task_arithmetic": {"lam": 0.4},
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_merge_is_the_method_on_the_tensors(volume: Path, name: str) -> None:
    run = ask(volume, f"merge-{name}", algorithm="merge", merge={"method": name, "options": OPTIONS[name]}).go()
    trunk, parents = of_volume(volume, "trunk"), [of_volume(volume, each) for each in SPECIALISTS]
    options = METHODS[name].Options.model_validate_json(json.dumps(OPTIONS[name]))
    base = trunk if METHODS[name].needs_base else None
    assert same(tensors_of(run.output), merged(name, parents, base, options, run.config.seed))


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Perplexity, FLOPs and bytes small, accuracy large."""
    signs = (1, -1, 1, 1)
    pairs = [(sign * a, sign * b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(a <= b for a, b in pairs) and one != other


def test_the_front_is_what_nothing_beats(runs: dict[str, Merging]) -> None:
    run = runs["nsga2"]
    front = [
        tuple(point[each] for each in ("perplexity", "accuracy", "flops_per_token", "bytes"))
        for point in run.record["pareto_front"]
    ]
    assert not any(dominates(one, other) for one, other in itertools.permutations(front, 2))
    last = Checkpoints(run.run.checkpoints_path).latest()
    assert last is not None
    told = [tuple(point) for each in json.loads((last.path / "nsga2.json").read_bytes()) for _, point in each]
    assert len(told) == 3 * 8
    for point in told:
        beaten = any(dominates(other, point) for other in front)
        assert beaten or point in front
    assert len(front) < len(told)


def test_the_numbers_are_those_of_an_independent_evaluation(run: Merging) -> None:
    model = AutoModelForCausalLM.from_pretrained(run.output)
    seed = Rng(run.config.seed, f"evomerge/{Split.TEST}").seed
    count = run.config.evaluation.test_items
    items = [
        item
        for name, difficulties in FAMILIES.items()
        for item in ItemStream(name, Split.TEST, seed, difficulties).distinct(count, all_if_fewer=True)
    ]
    for one in answer_accuracy(model, Codec(pico.tokenizer()), items, prefix="evomerge/champion"):
        assert run.values(one.name) == [one.value]
    assert run.values("evomerge/champion/accuracy")[0] > 0
    fitness = run.values("evomerge/champion/fitness")[0]
    assert run.values("evomerge/improvement") == [fitness - 1]
    assert run.values("evomerge/margin/linear") == [fitness - run.values("evomerge/linear/fitness")[0]]
    best = max(run.values(f"evomerge/{name}/fitness")[0] for name in SPECIALISTS)
    assert run.values("evomerge/margin/best_parent") == [fitness - best]
    assert (run.record["fitness"], run.record["improvement"]) == (fitness, fitness - 1)


def test_no_question_is_in_two_splits(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Questions] = []
    original: Callable[..., Questions] = Questions.drawn

    def spy(*arguments: Any, **named: Any) -> Questions:
        drawn.append(original(*arguments, **named))
        return drawn[-1]

    monkeypatch.setattr(Questions, "drawn", spy)
    ask(volume, "splits", algorithm="genetic", generations=1).go()

    def keys(split: Split) -> set[str]:
        items: list[Item] = [i for q in drawn if q.split is split for each in q.items.values() for i in each]
        assert {split_of(item.canonical) for item in items} == {split}
        return {item.canonical for item in items}

    assert {each.split for each in drawn} == {Split.SELECTION, Split.TEST}
    assert not keys(Split.SELECTION) & keys(Split.TEST)


def test_a_llama_in_free_mode(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(3):
        pico.save(pico.with_noise(pico.llama(), number), home / "mine" / f"llama-{number}")
    refs = given(home, "llama-0", "llama-1", "llama-2")
    changes: dict[str, Any] = {"strict": False, "base": "mean", "generations": 2}
    run = ask(home, "llama", refs, **changes).go()
    parents = [tensors_of(home / "mine" / f"llama-{number}") for number in range(3)]
    champion = tensors_of(run.output)
    assert champion.keys() == parents[0].keys()
    assert not any(same(champion, parent) for parent in parents)
    assert run.record["base"] == "the parents' mean"
    assert AutoModelForCausalLM.from_pretrained(run.output).config.model_type == "llama"
    assert len(run.values("evomerge/best_fitness")) == 3


@pytest.mark.parametrize("algorithm", ["cma_es", "genetic", "nsga2"])
def test_one_model_three_times_stays_what_it_is(volume: Path, algorithm: str) -> None:
    """Under one name, too. Base and parents differ; the parents do not."""
    one = given(volume, "both")[0]
    refs = (*given(volume, trunk="trunk"), one, one, one)
    run = ask(volume, f"thrice-{algorithm}", refs, algorithm=algorithm, generations=1).go()
    assert set(run.record["parents"]) == {"both", "both-2", "both-3"}
    linear, parent = run.values("evomerge/linear/fitness"), run.values("evomerge/both-3/fitness")
    assert linear == parent == [1.0]
    assert run.people()["g0.0"]["fitness"] is not None


def test_a_parent_that_is_called_champion_is_not_taken_for_the_new_one(volume: Path) -> None:
    """As when champions of earlier runs are merged."""
    refs = family(volume)
    renamed = (*refs[:3], type(refs[3])("champion", refs[3].kind, refs[3].path, refs[3].sha256))
    run = ask(volume, "of-champions", renamed, generations=1).go()
    plain = ask(volume, "of-others", refs, generations=1).go()
    assert run.weights == plain.weights
    assert run.values("evomerge/champion/fitness") == plain.values("evomerge/champion/fitness")
    assert run.values("evomerge/champion-2/fitness") == plain.values("evomerge/both/fitness")


def test_each_generation_tells_what_its_models_scored(run: Merging) -> None:
    samples = [payload["data"] for name, payload in run.heard if name == "sample"]
    told = {one["name"]: one for data in samples for one in data["models"]}
    assert {name: one["fitness"] for name, one in told.items()} == {
        name: person["fitness"] for name, person in run.people().items()
    }
    objectives = ("perplexity", "accuracy", "flops_per_token", "bytes")
    known = {tuple(one[name] for name in objectives) for one in told.values()}
    assert {tuple(one[name] for name in objectives) for one in run.record.get("pareto_front", ())} <= known
