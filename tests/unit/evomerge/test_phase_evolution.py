"""When an evolution stops, begins anew or falls back; and what it says where nothing has a fitness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput, RunFailed
from agentforge.phase2_evomerge import phase, workshop
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.evaluation.batches import Encoded
from agentforge.phase2_evomerge.judge import Judge, Score
from agentforge.phase2_evomerge.operators.combination import Combination
from agentforge.phase2_evomerge.operators.combine import combine
from agentforge.phase2_evomerge.parents import Parents
from tests.unit.evomerge.phases import SPECIALISTS, ask


@pytest.mark.parametrize("algorithm", [pytest.param("cma_es", marks=pytest.mark.slow), "genetic"])
def test_it_stops_when_nothing_has_come_of_several_generations(volume: Path, algorithm: str) -> None:
    """Fitness would have to double each time."""
    changes: dict[str, Any] = {"generations": 50, "patience": 2, "improvement": 1.0}
    run = ask(volume, f"impatient-{algorithm}", algorithm=algorithm, **changes).go()
    assert len(run.values("evomerge/best_fitness")) == 3
    assert run.values("evomerge/convergence_patience") == [2, 1, 0]
    assert run.record["evolution_log"]["generations"] == 2


def test_any_improvement_is_waited_for_where_so_little_is_asked(volume: Path) -> None:
    run = ask(volume, "patient", generations=4, patience=4, improvement=0.0).go()
    best = run.values("evomerge/best_fitness")
    left = 4
    for number, remaining in enumerate(run.values("evomerge/convergence_patience")):
        left = 4 if number == 0 or best[number] > best[number - 1] else left - 1
        assert remaining == left


@pytest.mark.parametrize(("threshold", "anew"), [(1.0, True), (0.0, False)])
def test_below_the_threshold_of_diversity_the_last_two_begin_from_the_parents(
    volume: Path, threshold: float, anew: bool
) -> None:
    changes: dict[str, Any] = {"algorithm": "genetic", "generations": 2, "genetic": {"diversity": threshold}}
    people = ask(volume, f"diversity-{threshold}", **changes).go().people()
    for generation in (1, 2):
        for name in (f"g{generation}.6", f"g{generation}.7"):
            assert people[name]["kind"] == "merge"
            assert len(people[name]["parents"]) == 3
            assert (set(people[name]["parents"]) == set(SPECIALISTS)) == anew


def test_losers_are_merged_in_groups_in_which_nobody_is_twice(volume: Path) -> None:
    changes: dict[str, Any] = {"algorithm": "genetic", "generations": 1, "genetic": {"diversity": 0.0}}
    people = ask(volume, "losers", **changes).go().people()
    order = sorted((f"g0.{number}" for number in range(8)), key=lambda name: -people[name]["fitness"])
    assert [*people["g1.6"]["parents"], *people["g1.7"]["parents"]] == order[2:]


def broken(combination: Combination, *arguments: Any, **named: Any) -> Mapping[str, Tensor]:
    """Of the eight one makes NaN and one cannot be made."""
    if combination.name == "001":
        raise InvalidInput("these cannot be merged", reason="NOT_FINITE")
    child = dict(combine(combination, *arguments, **named))
    if combination.name == "110":
        child = {name: torch.full_like(tensor, math.nan) for name, tensor in child.items()}
    return child


@pytest.mark.parametrize("algorithm", ["cma_es", "genetic"])
def test_what_cannot_be_merged_gives_way_to_the_plain_mean(
    volume: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    monkeypatch.setattr(workshop, "combine", broken)
    run = ask(volume, f"fallback-{algorithm}", algorithm=algorithm, generations=1).go()
    people = run.people()
    first, last = people["g0.1"], people["g0.6"]
    assert (first["kind"], first["fallback"]) == ("linear", "these cannot be merged")
    assert (last["kind"], last["combination"]) == ("linear", "110")
    assert "not finite" in last["fallback"]
    mean = people["g0.mean"]["fitness"] if algorithm == "cma_es" else last["fitness"]
    assert first["fitness"] == last["fitness"] == mean
    used = run.record["merge_combo_usage"]
    assert used["001"] == used["110"] == 0, "what was not made was not used"
    assert used["000"] >= 1


def flawed(self: Judge, *arguments: Any) -> Score:
    """As of weights whose outputs are no numbers."""
    outcome, sketch = arguments
    outcome = type(outcome)(
        dict.fromkeys(outcome.nats, math.nan), outcome.accuracies, outcome.predicted_A, outcome.steps
    )
    terms = self._terms(outcome)
    return Score(-math.inf, terms, outcome, sketch)


@pytest.mark.parametrize("algorithm", ["cma_es", "genetic", "nsga2"])
def test_an_evolution_without_any_fitness_says_so(
    volume: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    original = Judge.score

    def score(self: Judge, tensors: Mapping[str, Tensor]) -> Score:
        found = original(self, tensors)
        return flawed(self, found.outcome, found.sketch)

    monkeypatch.setattr(Judge, "score", score)
    run = ask(volume, f"flawed-{algorithm}", algorithm=algorithm, generations=1, genetic={"crossover": 0.5})
    with pytest.raises(RunFailed) as caught:
        run.go()
    assert caught.value.reason == "NO_FIT_CHILD"
    assert not run.values("evomerge/best_fitness")
    assert not run.output.exists()
    with pytest.raises(RunFailed):  # its checkpoint can be read, too
        run.again().go()


def test_few_flawed_ones_do_no_harm(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third has no fitness; tournaments of two let one of them win now and then."""
    original, count = Judge.score, [0]

    def score(self: Judge, tensors: Mapping[str, Tensor]) -> Score:
        found = original(self, tensors)
        count[0] += 1
        return found if count[0] % 3 else flawed(self, found.outcome, found.sketch)

    monkeypatch.setattr(Judge, "score", score)
    tournaments = {"selection": "tournament", "tournament": 2, "mutation": {"adaptive": True}}
    run = ask(volume, "some-flawed", algorithm="genetic", generations=4, genetic=tournaments).go()
    people = run.people().values()
    assert any(each["fitness"] is None for each in people)
    assert all(each["fitness"] is not None for each in [run.people()[run.record["champion"]]])


def test_what_is_wrong_with_the_test_split_is_told_before_the_evolution(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = phase.questions

    def questions(parents: Parents, config: EvoMergeConfig, split: Split, count: int) -> Encoded:
        if split is Split.TEST:
            raise InvalidInput(
                "an item is too long", reason="SEQUENCE_TOO_LONG", field="evaluation.families.nested"
            )
        return original(parents, config, split, count)

    monkeypatch.setattr(phase, "questions", questions)
    run = ask(volume, "long-test-item")
    with pytest.raises(InvalidInput, match="too long"):
        run.go()
    assert not run.heard


def test_a_merge_without_fitness_on_the_test_split_is_no_champion(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Judge.score

    def score(self: Judge, tensors: Mapping[str, Tensor]) -> Score:
        found = original(self, tensors)
        return flawed(self, found.outcome, found.sketch) if self.questions.split == "test" else found

    monkeypatch.setattr(Judge, "score", score)
    with pytest.raises(RunFailed, match="on the test split") as caught:
        ask(volume, "flawed-on-test", generations=1).go()
    assert caught.value.reason == "NO_FIT_CHILD"
