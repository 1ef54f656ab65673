"""Thoughts at all places at once are the thoughts of one place at a time through the plain model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.models.thoughts.generate import Thoughts, Told, ahead, generate, retell
from agentforge.models.thoughts.places import all_places, targets
from agentforge.models.thoughts.sampling import Draws, Sampling
from agentforge.models.thoughts.text import Text, read
from tests.unit.quietstar.models import MARKS, TITANS, Row, llama, naive, padded, text, titan, tolerance

SAMPLING = Sampling(thoughts=2, length=4)
DRAWS = Draws(3, ("test",))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def compare(model: Any, ids_BT: Tensor, mask_BT: Tensor, sampling: Sampling = SAMPLING, every: int = 1) -> int:
    """Every thought of the batch against the naive loop; how many ended by themselves."""
    places_BP = all_places(mask_BT, 1)[:, ::every]
    whole = read(model, ids_BT, mask_BT if not bool(mask_BT.all()) else None)
    thoughts, told = generate(whole, places_BP, MARKS, sampling, DRAWS)
    logits_BPNLV, ended, met = whole.head(told.hidden_BPNLD), 0, 0
    for row, places in enumerate(places_BP.tolist()):
        for place, column in enumerate(places):
            if column < 0:
                continue
            prefix = ids_BT[row, : column + 1][mask_BT[row, : column + 1].bool()].tolist()
            for thought in range(sampling.thoughts):
                ids, logits_LV = naive(model, prefix, len(prefix) - 1, thought, sampling, DRAWS, row)
                live_L = thoughts.live_BPNL[row, place, thought]
                assert thoughts.ids_BPNL[row, place, thought][live_L].tolist() == ids
                found_LV = logits_BPNLV[row, place, thought][live_L]
                torch.testing.assert_close(found_LV, logits_LV, rtol=0, atol=tolerance(model))
                ended += len(ids) < sampling.length + 2
                met += 1
    assert met > 0
    return ended


@torch.no_grad()
@pytest.mark.parametrize("case", TITANS)
def test_titan(case: str) -> None:
    ids_BT = text(2, 13)
    compare(titan(**TITANS[case]), ids_BT, torch.ones_like(ids_BT), every=2)


@torch.no_grad()
def test_padded_titan() -> None:
    compare(titan(), *padded(), every=2)


@torch.no_grad()
def test_single_precision() -> None:
    compare(titan().float(), *padded(), every=3)
    compare(llama().float(), *padded())


@torch.no_grad()
@pytest.mark.parametrize("fields", [{}, {"tie_word_embeddings": False}, {"num_key_value_heads": 1}])
def test_llama(fields: dict[str, Any]) -> None:
    ids_BT = text()
    compare(llama(**fields), ids_BT, torch.ones_like(ids_BT))


@torch.no_grad()
def test_padded_llama() -> None:
    compare(llama(), *padded())


@torch.no_grad()
def test_sliding_foreign_model() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=6, max_position_embeddings=64,
    )  # fmt: skip
    ids_BT = text()
    compare(MistralForCausalLM(config).double().eval(), ids_BT, torch.ones_like(ids_BT))


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
def test_thoughts_that_end_early(make: Any) -> None:
    """At a high temperature the end mark is drawn now and then; a thought that is over leaves the others alone."""
    ids_BT = text()
    sampling = Sampling(thoughts=4, length=6, temperature=30.0, top_p=1.0)
    assert compare(make(), ids_BT, torch.ones_like(ids_BT), sampling, every=3) > 0


@torch.no_grad()
def test_within_a_chunk_nothing_is_special() -> None:
    """A thought that ends in its place's chunk is an ordinary row of text, writing of memory and all."""
    model, ids_BT = titan(memory_chunk=8, sliding_window=16), text(1, 20)
    places_BP = torch.tensor([[0, 1, 8, 9, 16, 17]])
    whole = read(model, ids_BT)
    thoughts, told = generate(whole, places_BP, MARKS, SAMPLING, DRAWS)
    found_PNLV = whole.head(told.hidden_BPNLD)[0]
    for place, column in enumerate(places_BP[0].tolist()):
        for thought in range(2):
            row_1T = torch.cat((ids_BT[0, : column + 1], thoughts.ids_BPNL[0, place, thought]))[None]
            wanted_LV = model(input_ids=row_1T).logits[0, column + 1 :]
            torch.testing.assert_close(found_PNLV[place, thought], wanted_LV, rtol=0, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
def test_retelling_in_one_forward(make: Any) -> None:
    ids_BT, mask_BT = padded()
    whole, places_BP = read(make(), ids_BT, mask_BT), all_places(mask_BT, 1)
    sampling = Sampling(thoughts=2, length=6, temperature=30.0, top_p=1.0)
    thoughts, told = generate(whole, places_BP, MARKS, sampling, DRAWS)
    assert not thoughts.live_BPNL.all()
    again = retell(whole, thoughts)
    live_BPNL = thoughts.live_BPNL & (places_BP >= 0)[..., None, None]
    torch.testing.assert_close(again.hidden_BPNLD[live_BPNL], told.hidden_BPNLD[live_BPNL], rtol=0, atol=1e-10)
    there_BPN = (places_BP >= 0)[..., None].expand(-1, -1, 2)
    torch.testing.assert_close(again.end_BPND[there_BPN], told.end_BPND[there_BPN], rtol=0, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
def test_the_tokens_ahead(make: Any) -> None:
    """After a thought the true text goes on as if the thought had been written into it."""
    model = make()
    ids_BT, mask_BT = padded()
    places_BP = all_places(mask_BT, 3)
    whole = read(model, ids_BT, mask_BT)
    sampling = Sampling(thoughts=2, length=4, temperature=30.0, top_p=1.0)
    thoughts, told = generate(whole, places_BP, MARKS, sampling, DRAWS)
    targets_BPA, there_BPA = targets(ids_BT, mask_BT, places_BP, 3)
    logits_BPNAV = whole.head(ahead(whole, told, targets_BPA, there_BPA))
    for row, place in [(0, 0), (0, 6), (0, 10), (1, 0), (1, 6), (2, 5)]:
        column = int(places_BP[row, place])
        prefix = ids_BT[row, : column + 1][mask_BT[row, : column + 1].bool()].tolist()
        said = thoughts.ids_BPNL[row, place, 1][thoughts.live_BPNL[row, place, 1]].tolist()
        plain = Row(model, prefix)
        after = [plain.feed(token) for token in [*said, *targets_BPA[row, place, :2].tolist()]][-3:]
        for step in range(3):
            torch.testing.assert_close(logits_BPNAV[row, place, 1, step], after[step], rtol=0, atol=1e-10)


def _both(model: Any, ids_BT: Tensor) -> tuple[Text, Thoughts, Told]:
    whole = read(model, ids_BT)
    return whole, *generate(whole, all_places(torch.ones_like(ids_BT), 1), MARKS, SAMPLING, DRAWS)


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
def test_causality(make: Any) -> None:
    """What comes after a place moves none of its thoughts."""
    model, ids_BT = make(), text()
    changed_BT = ids_BT.clone()
    changed_BT[:, 8] = (changed_BT[:, 8] - 14 + 5) % 26 + 14
    (_, before, told), (_, after, retold) = _both(model, ids_BT), _both(model, changed_BT)
    assert torch.equal(before.ids_BPNL[:, :8], after.ids_BPNL[:, :8])
    torch.testing.assert_close(told.hidden_BPNLD[:, :8], retold.hidden_BPNLD[:, :8], rtol=0, atol=1e-12)
    assert not torch.allclose(told.hidden_BPNLD[:, 8], retold.hidden_BPNLD[:, 8], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
def test_other_thoughts_and_places_change_nothing(make: Any) -> None:
    model, ids_BT = make(), text()
    whole, thoughts, told = _both(model, ids_BT)
    few, retold = generate(whole, torch.tensor([[3, 7], [5, -1]]), MARKS, Sampling(thoughts=1, length=4), DRAWS)
    for row, place, column in [(0, 0, 3), (0, 1, 7), (1, 0, 5)]:
        assert torch.equal(few.ids_BPNL[row, place, 0], thoughts.ids_BPNL[row, column, 0])
        wanted_LD = told.hidden_BPNLD[row, column, 0]
        torch.testing.assert_close(retold.hidden_BPNLD[row, place, 0], wanted_LD, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
def test_rows_keep_their_thoughts_in_other_company(make: Any) -> None:
    model, ids_BT = make(), text()
    places_BP = all_places(torch.ones_like(ids_BT), 1)
    both, _ = generate(read(model, ids_BT), places_BP, MARKS, SAMPLING, Draws(3, rows=[10, 11]))
    alone, _ = generate(read(model, ids_BT[1:]), places_BP[1:], MARKS, SAMPLING, Draws(3, rows=[11]))
    assert torch.equal(both.ids_BPNL[1:], alone.ids_BPNL)


def _state(whole: Any) -> list[Tensor]:
    if hasattr(whole, "cache"):
        return [tensor.clone() for layer in whole.cache.layers for tensor in (layer.keys, layer.values)]
    views = [tensor for views in whole.run.views.values() for view in views for tensor in view]
    return [tensor.clone() for tensor in [*whole.state.values(), *views]]


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
def test_thoughts_leave_text_and_memory_untouched(make: Any) -> None:
    model, (ids_BT, mask_BT) = make(), padded()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    whole = read(model, ids_BT, mask_BT)
    before, logits_BTV = _state(whole), whole.head(whole.hidden_BTD)
    cached = model(input_ids=ids_BT[:1], use_cache=True).past_key_values
    generate(whole, all_places(mask_BT, 1), MARKS, SAMPLING, DRAWS)
    assert all(torch.equal(one, other) for one, other in zip(before, _state(whole), strict=True))
    assert torch.equal(whole.head(whole.hidden_BTD), logits_BTV)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    again = model(input_ids=ids_BT[:1], use_cache=True).past_key_values
    if hasattr(cached, "state"):  # the long-term memory itself
        assert cached.state.keys() == again.state.keys()
        assert all(torch.equal(cached.state[name], again.state[name]) for name in cached.state)


@torch.no_grad()
@pytest.mark.parametrize("case", [*TITANS, "llama"])
def test_reading_is_the_plain_forward_to_the_bit(case: str) -> None:
    model: Any = llama() if case == "llama" else titan(**TITANS[case])
    for dtype in (torch.float64, torch.float32):
        model = model.to(dtype)
        ids_BT, mask_BT = padded()
        whole = read(model, ids_BT)
        assert torch.equal(whole.head(whole.hidden_BTD), model(input_ids=ids_BT).logits)
        whole, real_BT = read(model, ids_BT, mask_BT), mask_BT.bool()
        places_BT = (mask_BT.cumsum(1) - 1).clamp_min(0)
        wanted = model(input_ids=ids_BT, attention_mask=mask_BT, position_ids=places_BT).logits
        assert torch.equal(whole.head(whole.hidden_BTD)[real_BT], wanted[real_BT])
