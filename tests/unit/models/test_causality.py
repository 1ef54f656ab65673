"""No logit knows a later token, and none knows one outside the window when nothing but the window remembers."""

import pytest
import torch

from .conftest import PLAIN, VOCAB, MakeTitan


@pytest.mark.parametrize("slots", [64, 8], ids=["everything kept", "slots run out"])
@pytest.mark.parametrize("place", [0, 5, 19, 38])
def test_changing_a_token_moves_no_earlier_logit(
    make_titan: MakeTitan, ids_BT: torch.Tensor, slots: int, place: int
) -> None:
    model = make_titan(memory_slots=slots)
    changed_BT = ids_BT.clone()
    changed_BT[:, place] = (changed_BT[:, place] + 1) % VOCAB
    with torch.no_grad():
        before, after = model(input_ids=ids_BT).logits, model(input_ids=changed_BT).logits
    assert torch.equal(before[:, :place], after[:, :place])
    assert not torch.equal(before[:, place], after[:, place])


def test_a_window_without_memory_sees_exactly_layers_times_its_reach(
    make_titan: MakeTitan, ids_BT: torch.Tensor
) -> None:
    model = make_titan(**PLAIN, num_hidden_layers=2)
    reach = 2 * (6 - 1)
    changed_BT = ids_BT.clone()
    changed_BT[:, 10] = (changed_BT[:, 10] + 1) % VOCAB
    with torch.no_grad():
        moved = (model(input_ids=ids_BT).logits != model(input_ids=changed_BT).logits).any(-1).any(0)
    assert moved.nonzero()[:, 0].tolist() == list(range(10, 10 + reach + 1))


def test_memory_reaches_beyond_the_window(make_titan: MakeTitan, ids_BT: torch.Tensor) -> None:
    model = make_titan(act=False, recursion=False, num_hidden_layers=1, memory_layers=[0])
    changed_BT = ids_BT.clone()
    changed_BT[:, 1] = (changed_BT[:, 1] + 1) % VOCAB
    with torch.no_grad():
        moved = (model(input_ids=ids_BT).logits != model(input_ids=changed_BT).logits).any(-1)
    assert moved[:, -1].all()
