"""Where to think, how coherent a thought is, and thoughts that cannot help."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.models.thoughts.generate import Thoughts, generate, retell
from agentforge.models.thoughts.injection import Injection, choose, difficulty
from agentforge.models.thoughts.places import all_places
from agentforge.models.thoughts.sampling import Draws, Sampling
from agentforge.models.thoughts.text import read
from agentforge.phase3_quietstar.coherence import Coherence, coherence, filtered
from agentforge.phase3_quietstar.spoil import by_another_items, by_nothing, by_random_tokens
from tests.unit.quietstar.models import MARKS, VOCAB, llama, padded, titan

MAKES = pytest.mark.parametrize("make", [titan, llama])


def test_choice_by_hand() -> None:
    hard = torch.tensor([[0.1, 0.9, 0.8, 0.3, 0.7, 0.7, 0.2, 0.6], [0.5] * 8])
    allowed = torch.tensor([[True] * 7 + [False], [False] * 8])
    # 3 places of 7: 1; 2 is too near; 4 before its equal 5, which is then too near, as is 3; 6.
    assert choose(hard, allowed, Injection(interval=2, budget=0.4)).tolist() == [[1, 4, 6], [-1, -1, -1]]
    assert choose(hard, allowed, Injection(interval=1, budget=0.4))[0].tolist() == [1, 2, 4]
    assert choose(hard, allowed, Injection(interval=8, budget=1.0))[0].tolist() == [1]
    assert choose(hard, allowed, Injection(budget=0.0)).shape == (2, 0)


@torch.no_grad()
@MAKES
def test_difficulty_is_the_weighted_mean_of_its_signals(make: Any) -> None:
    ids_BT, mask_BT = padded()
    whole, real_BT = read(make(), ids_BT, mask_BT), mask_BT.bool()
    logits = whole.head(whole.hidden_BTD)
    next_BT = ids_BT.roll(-1, 1)
    p = logits.softmax(-1)
    by_entropy = -(p * p.log()).sum(-1) / math.log(VOCAB)
    by_loss = 1 - p.gather(-1, next_BT[..., None])[..., 0]
    spread = whole.dispersion()
    assert bool(((spread[real_BT] >= 0) & (spread[real_BT] <= 1 + 1e-9)).all())
    assert float(spread[real_BT].std()) > 1e-4
    found = difficulty(whole, logits, Injection(entropy=1, loss=2, dispersion=1), next_BT)
    wanted = (by_entropy + 2 * by_loss + spread) / 4
    torch.testing.assert_close(found[real_BT], wanted[real_BT])
    with pytest.raises(InvalidInput) as caught:
        difficulty(whole, logits, Injection(loss=1))
    assert caught.value.reason == "NO_TARGETS"


@torch.no_grad()
@MAKES
def test_dispersion_of_even_attention_is_one(make: Any) -> None:
    """With queries of zero every token attends to all it sees alike."""
    model = make()
    for name, parameter in model.named_parameters():
        if "qkv" in name:
            parameter[: len(parameter) // 3] = 0
        elif "q_proj" in name:
            parameter.zero_()
    ids_BT, mask_BT = padded()
    spread = read(model, ids_BT, mask_BT).dispersion()
    several = (mask_BT.cumsum(1) > 1) & mask_BT.bool()
    torch.testing.assert_close(spread[several], torch.ones_like(spread[several]))


def some_thoughts(make: Any, sampling: Sampling) -> tuple[Any, Thoughts, Any]:
    ids_BT, mask_BT = padded()
    whole = read(make(), ids_BT, mask_BT)
    return whole, *generate(whole, all_places(mask_BT, 1), MARKS, sampling, Draws(2))


@torch.no_grad()
@MAKES
def test_parts_of_coherence_by_their_formulas(make: Any) -> None:
    """One thought of four tokens, recomputed from ordinary log-probabilities of its pieces."""
    whole, thoughts, told = some_thoughts(make, Sampling(2, 4))
    found = coherence(whole, thoughts, told, MARKS)
    here = (0, 5, 1)
    ids = thoughts.ids_BPNL[here]
    assert thoughts.chosen_BPNL[here].tolist() == [False, True, True, True, True, False]

    def log(order: list[int], blind: bool = False) -> torch.Tensor:
        given = Thoughts(
            torch.tensor([[5], [5], [5]]), ids[order].expand(3, 1, 1, -1),
            torch.ones(3, 1, 1, len(order), dtype=torch.bool), torch.zeros(3, 1, 1, len(order), dtype=torch.bool),
        )  # fmt: skip
        logits = whole.head(retell(whole, given, blind=blind).hidden_BPNLD)[0, 0, 0]
        logits[:, MARKS.start] = -math.inf
        return logits.log_softmax(-1)

    every = [0, 1, 2, 3, 4, 5]
    steps = torch.arange(4)
    plain_LV = log(every)
    plain = plain_LV[steps, ids[1:5]]
    short = log([0, 3, 4, 5])[torch.arange(2), ids[3:5]]
    alone = log(every, blind=True)[steps, ids[1:5]]
    assert found.consistency[here].item() == pytest.approx((plain[2:] - short).mean().sigmoid().item())
    assert found.relevance[here].item() == pytest.approx((plain - alone).mean().sigmoid().item())
    uncertain = -(plain_LV[:4].exp() * plain_LV[:4].masked_fill(plain_LV[:4].isneginf(), 0)).sum(-1)
    assert found.fluency[here].item() == pytest.approx(min(1, (plain + uncertain).mean().exp().item()))
    mean = told.hidden_BPNLD[here][1:5].mean(0)
    similar = torch.cosine_similarity(mean, whole.hidden_BTD[0, :6].mean(0), dim=0)
    assert found.semantic[here].item() == pytest.approx((1 + similar.item()) / 2)
    for part in found:
        there = part[thoughts.places_BP >= 0]
        assert bool(((there >= 0) & (there <= 1)).all())
        assert float(there.std()) > 1e-3


@torch.no_grad()
@MAKES
def test_random_tokens_are_less_fluent_and_empty_thoughts_measure_nothing(make: Any) -> None:
    whole, thoughts, told = some_thoughts(make, Sampling(2, 6))
    there = thoughts.places_BP >= 0
    own = coherence(whole, thoughts, told, MARKS)
    spoiled = by_random_tokens(thoughts, MARKS, VOCAB, Rng(1, "test"))
    random = coherence(whole, spoiled, retell(whole, spoiled), MARKS)
    assert float(random.fluency[there].mean()) < float(own.fluency[there].mean())
    empty = by_nothing(thoughts, MARKS)
    nothing = coherence(whole, empty, retell(whole, empty), MARKS)
    assert bool((nothing.fluency == 0).all())
    assert bool((nothing.consistency == 0.5).all())
    assert bool((nothing.relevance == 0.5).all())


def test_filter_counts_only_thoughts_that_there_are() -> None:
    part = torch.tensor([[[1.0, 0.4], [0.5, 0.0]]])
    parts = Coherence(part, part, part, part)
    torch.testing.assert_close(parts.score, part)
    result = filtered(parts, torch.tensor([[3, -1]]), threshold=0.45)
    assert result.kept_BPN.tolist() == [[[True, False], [False, False]]]
    assert result.share == 0.5
    weighted = Coherence(part, part * 0, part * 0, part * 0).score
    torch.testing.assert_close(weighted, 0.3 * part)


@torch.no_grad()
def test_spoiled_thoughts() -> None:
    _, thoughts, _ = some_thoughts(titan, Sampling(4, 6, temperature=30.0, top_p=1.0))
    random = by_random_tokens(thoughts, MARKS, VOCAB, Rng(1, "test"))
    edges = ~thoughts.live_BPNL | (thoughts.ids_BPNL == MARKS.start) | (thoughts.ids_BPNL == MARKS.end)
    assert torch.equal(random.ids_BPNL[edges], thoughts.ids_BPNL[edges])
    inner = random.ids_BPNL[~edges]
    assert not ((inner == MARKS.start) | (inner == MARKS.end)).any()
    assert float((inner != thoughts.ids_BPNL[~edges]).double().mean()) > 0.8
    assert torch.equal(random.ids_BPNL, by_random_tokens(thoughts, MARKS, VOCAB, Rng(1, "test")).ids_BPNL)
    other = by_another_items(thoughts)
    for row, donor in [(0, 1), (1, 2), (2, 0)]:
        theirs = {str(each) for each in thoughts.ids_BPNL[donor][thoughts.places_BP[donor] >= 0].tolist()}
        there = thoughts.places_BP[row] >= 0
        assert {str(each) for each in other.ids_BPNL[row][there].tolist()} <= theirs
    assert torch.equal(other.live_BPNL.sum(-1) - 1, (other.ids_BPNL == MARKS.end).long().argmax(-1))
    nothing = by_nothing(thoughts, MARKS)
    assert nothing.ids_BPNL[1, 2, 3].tolist() == [MARKS.start, MARKS.end]
    assert not nothing.length_BPN.any()
    alone = Thoughts(
        *(getattr(thoughts, name)[:1] for name in ("places_BP", "ids_BPNL", "live_BPNL", "chosen_BPNL"))
    )
    with pytest.raises(InvalidInput) as caught:
        by_another_items(alone)
    assert caught.value.reason == "TOO_FEW_ITEMS"
