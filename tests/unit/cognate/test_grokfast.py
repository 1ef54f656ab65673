"""The Grokfast experiment: its data, its network against PyTorch's own attention, and what its rows conclude."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentforge.kit.evidence import Row
from agentforge.phase1_cognate.experiments import grokfast
from agentforge.phase1_cognate.experiments.grokking import Inverse
from agentforge.phase1_cognate.experiments.modular import MODULUS, Network, halves, network


def test_each_pair_is_in_one_half_and_every_answer_is_right() -> None:
    pairs = halves(42)
    assert len({key for half in pairs for key in half.keys()}) == 97 * 96  # noqa: SIM118 - a method of ours
    assert len(pairs[0]) == len(pairs[1])
    for half in pairs:
        a, b = half.questions[:, 0], half.questions[:, 2]
        assert torch.equal(half.answers * b % MODULUS, a)


def test_the_short_cut_of_the_last_layer_changes_nothing() -> None:
    """Against nn.MultiheadAttention on all positions, of which the last is read."""
    net, questions = network(0), halves(0)[0].questions[:64]
    with torch.no_grad():
        torch.testing.assert_close(net(questions), _long_way(net, questions), atol=1e-5, rtol=1e-5)


def _long_way(net: Network, questions_BT: Tensor) -> Tensor:
    x_BTD = net.tokens(questions_BT) + net.places.weight[:4]
    for layer in net.layers:
        whole: Any = nn.MultiheadAttention(128, 4, batch_first=True)
        mine: Any = layer
        whole.in_proj_weight, whole.in_proj_bias = mine.attention_in.weight, mine.attention_in.bias
        whole.out_proj.weight, whole.out_proj.bias = mine.attention_out.weight, mine.attention_out.bias
        x_BTD = mine.attention_norm(x_BTD)
        later = torch.ones(4, 4, dtype=torch.bool).triu(1)
        x_BTD = x_BTD + whole(x_BTD, x_BTD, x_BTD, attn_mask=later, need_weights=False)[0]
        x_BTD = x_BTD + mine.mlp(mine.mlp_norm(x_BTD))
    logits_BV: Tensor = net.head(net.norm(x_BTD))[:, -1]
    return logits_BV


def test_the_inverse_against_a_hand_worked_example() -> None:
    """alpha .5, lamb 2. Averages 4, 2, 5: 4 + 2 * 0; 0 + 2 * (0 - 2); 8 + 2 * (8 - 5)."""
    inverse, out = Inverse(alpha=0.5, lamb=2.0), []
    for value in (4.0, 0.0, 8.0):
        gradient = {"w": torch.tensor(value)}
        inverse(gradient)
        out.append(gradient["w"].item())
    assert out == [4, -4, 14]


def test_the_formula_is_really_run() -> None:
    assert grokfast.measure(task="formula") == {"filtered": grokfast.BY_HAND}


def rows(**steps: tuple[int, ...]) -> dict[str, Row]:
    """From made-up trials: 1,000 steps and there, or as told; 0 stands for 3,000 steps and not there."""
    results: dict[str, dict[str, Any]] = {}
    for trial in grokfast.trials():
        name, _, seed = trial.key.rpartition("/")
        told = dict(zip(map(str, grokfast.SEEDS), steps.get(name, ()), strict=False)).get(seed, 1_000)
        results[trial.key] = {"curve": [{"step": told or 3_000, "held_out": 0.96 if told else 0.1}]}
    results["formula"] = {"filtered": grokfast.BY_HAND}
    return {row.claim: row for row in grokfast.rows(results)}


def test_a_baseline_that_never_got_there_is_a_bound_and_not_a_number() -> None:
    row = next(row for claim, row in rows(plain=(0,)).items() if "Adam without decay" in claim)
    assert (row.value, row.verdict) == (3, "not testable here")
    assert "at least: not there: seed 42 by 3,000" in row.method
    row = next(row for claim, row in rows(plain=(5_000,)).items() if "Adam without decay" in claim)
    assert row.verdict == "refuted"
    assert "not there" not in row.method


@pytest.mark.parametrize(
    ("faster", "verdict"), [((1_500, 1_700, 1_600), "reached"), ((900, 1_000, 999), "refuted")]
)
def test_the_tuned_baseline_is_the_fastest_of_them(faster: tuple[int, ...], verdict: str) -> None:
    found = rows(decoupled=faster, l2=(0, 2_000, 0))
    row = next(row for claim, row in found.items() if "fewer steps than the tuned baseline (AdamW" in claim)
    assert row.verdict == verdict
    row = next(row for claim, row in found.items() if "43 times faster than a tuned" in claim)
    assert row.verdict == "refuted"
