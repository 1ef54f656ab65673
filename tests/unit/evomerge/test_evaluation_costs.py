"""FLOPs against a formula, bytes against the tensors, and what is reported."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from agentforge.data.splits import Split
from agentforge.phase2_evomerge.evaluation.fitness import Terms
from agentforge.phase2_evomerge.evaluation.flops import _counted, flop_cost, model_bytes
from agentforge.phase2_evomerge.evaluation.measurements import fitness_measurements, outcome_measurements
from agentforge.phase2_evomerge.evaluation.outcome import Outcome
from agentforge.phase2_evomerge.evaluation.questions import Questions
from agentforge.phase2_evomerge.evaluation.wall import wall_time
from agentforge.train.state import own_tensors
from tests.unit.evomerge.test_evaluation_evaluate import llama, titan
from tests.unit.train.helpers import codec

LENGTH = 12


def test_flops_of_a_llama_are_two_for_each_weight_and_its_attention() -> None:
    model = llama()
    products = sum(each.numel() for name, each in own_tensors(model).items() if each.dim() == 2)  # the head is tied
    attention = 2 * 2 * 2 * LENGTH * model.config.hidden_size  # layers x (scores and mixture) x 2
    rotation = 2 * model.config.hidden_size // 2 // 2  # positions times frequencies, once
    cost = flop_cost(model, length=LENGTH)
    assert cost.per_token(1.0) == pytest.approx(2 * products + attention, abs=rotation)
    assert (cost.steps, cost.further) == (1, 0)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("recursion", [False, True])
def test_flops_of_a_titan_grow_by_what_a_step_costs(memory: bool, recursion: bool) -> None:
    model = titan(memory=memory, recursion=recursion, act_steps_train=3, act_steps_infer=3)
    cost = flop_cost(model, length=LENGTH)
    counted = [_counted(model, LENGTH, steps) / LENGTH for steps in (1, 2, 3)]
    assert [cost.per_token(steps) for steps in (1, 3)] == [counted[0], counted[2]]
    assert cost.per_token(2) == pytest.approx(counted[1], rel=2e-3)
    layers = sum(each.numel() for name, each in own_tensors(model).items() if ".mlp." in name and each.dim() == 2)
    assert cost.further > 2 * layers  # a whole pass through the layers
    assert cost.per_token(1.5) == pytest.approx((counted[0] + cost.per_token(2)) / 2)
    assert model.config.act_steps_infer == 3


def test_a_titan_without_halting_has_one_step() -> None:
    cost = flop_cost(titan(act=False), length=LENGTH)
    assert (cost.steps, cost.further) == (1, 0)
    assert cost.first > 0


def test_bytes_count_tied_tensors_once_and_by_their_type() -> None:
    tied, untied = own_tensors(llama()), own_tensors(llama(tied=False))
    head = 32 * codec().vocabulary * 4
    assert model_bytes(untied) - model_bytes(tied) == head
    assert model_bytes(tied) == 4 * llama().num_parameters()
    assert model_bytes({name: each.bfloat16() for name, each in tied.items()}) == model_bytes(tied) // 2


def test_wall_time_is_the_median_per_token(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.1, 0.0, 0.2, 0.0, 7.0])  # a warm-up, then 0.1 s, 0.2 s, 7 s
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    found = wall_time(llama(), name="evomerge/wall_time", length=10, rows=2, repeats=3, warm=1)
    assert (found.value, found.unit, found.n) == (pytest.approx(0.2 / 20 * 1000), "ms/token", 3)


def test_what_is_reported_says_on_how_much() -> None:
    sheet = Questions.drawn({"arithmetic": [2], "recall": [2]}, Split.TEST, count=16, seed=3).encoded(
        codec(), context=None
    )
    outcome = Outcome(
        {"arithmetic": 1.0, "recall": 3.0}, {"arithmetic": 0.25, "recall": 0.75}, np.zeros(1, np.int32), 1.5
    )
    found = {one.name: one for one in outcome_measurements("champion", outcome, sheet)}
    accuracy = found["evomerge/champion/accuracy/arithmetic"]
    assert (accuracy.value, accuracy.n) == (0.25, 16)
    assert accuracy.spread == pytest.approx(math.sqrt(0.25 * 0.75 / 16))
    assert "test split" in accuracy.method
    assert found["evomerge/champion/loss/recall"].value == 3.0
    assert found["evomerge/champion/perplexity"].value == pytest.approx(math.e**2)
    both = found["evomerge/champion/accuracy"]
    assert (both.value, both.n) == (0.5, 32)
    assert both.spread == pytest.approx(math.sqrt(0.25 * 0.75 / 16 / 2))
    assert found["evomerge/champion/ponder_steps"].value == 1.5


@pytest.mark.parametrize(("fitness", "names"), [(1.2, 3), (-math.inf, 2)])
def test_what_is_no_number_is_not_reported(fitness: float, names: int) -> None:
    terms = Terms(2.0, 0.5, 1e6, 1_000)
    found = fitness_measurements("combination_3", terms, fitness, 32)
    assert [one.name.rpartition("/")[2] for one in found][-2:] == ["flops_per_token", "bytes"]
    assert len(found) == names
    sheet = Questions.drawn({"arithmetic": [2]}, Split.TEST, count=4, seed=3).encoded(codec(), context=None)
    broken: Any = Outcome({"arithmetic": math.nan}, {"arithmetic": 0.0}, np.zeros(1, np.int32), 1.0)
    left = {one.name for one in outcome_measurements("x", broken, sheet)}
    assert left == {"evomerge/x/accuracy/arithmetic", "evomerge/x/accuracy", "evomerge/x/ponder_steps"}


def test_counting_needs_no_gradient_and_leaves_none() -> None:
    model = titan()
    flop_cost(model, length=LENGTH)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.is_grad_enabled()
