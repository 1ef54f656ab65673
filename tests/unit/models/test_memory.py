"""What the long-term memory writes, keeps and forgets."""

import torch

from agentforge.models.memory_titan import LongTermMemory

from .conftest import MakeTitan


def memory_of(make_titan: MakeTitan, **overrides: object) -> tuple[LongTermMemory, torch.nn.Module]:
    model = make_titan(**overrides)
    memory = model.layers[0].memory
    assert memory is not None
    assert model.strength is not None
    return memory, model.strength


@torch.no_grad()
def test_a_known_fact_is_neither_new_nor_surprising(make_titan: MakeTitan) -> None:
    memory, _ = memory_of(make_titan)
    key, value = torch.randn(2, 1, 3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 20
    stored_key, stored_value = memory._heads(memory.initial[0], key), memory._heads(memory.initial[1], value)
    visible = torch.ones(1, 1, 3, 6, dtype=torch.bool)
    surprise, novelty = memory._judge(key, value, stored_key, stored_value, visible)
    assert surprise.max() < 1e-3
    assert novelty.abs().max() < 1e-9
    surprise, novelty = memory._judge(key, -value, stored_key, stored_value, visible)
    assert surprise.min() > 1.9  # the key is known, the value is its opposite
    surprise, novelty = memory._judge(-key, value, stored_key, stored_value, visible)
    assert novelty.min() > 0.3


@torch.no_grad()
def test_the_strongest_stay(make_titan: MakeTitan) -> None:
    memory, strength = memory_of(make_titan, memory_slots=5, memory_decay=False)
    h_BTD = torch.randn(2, 24, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    position_BT = torch.arange(24).expand(2, -1)
    everything, strength_all = memory_of(make_titan, memory_slots=100, memory_decay=False)
    views, _ = memory.write(h_BTD, position_BT, strength, memory.empty(h_BTD))
    readable = views[-1].bias[:, 0, 0].isfinite().sum(-1)
    assert readable.tolist() == [3 + 5, 3 + 5]  # the learned slots, and as many entries as there are slots
    _, kept = everything.write(h_BTD, position_BT, strength_all, everything.empty(h_BTD))
    assert kept.key.shape[1] == 24


@torch.no_grad()
def test_how_strongly_is_learned_and_who_stays_is_not(make_titan: MakeTitan) -> None:
    memory, strength = memory_of(make_titan, memory_slots=5, memory_decay=False)
    h_BTD = torch.randn(2, 24, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def bias_BS() -> torch.Tensor:
        views, _ = memory.write(h_BTD, torch.arange(24).expand(2, -1), strength, memory.empty(h_BTD))
        return views[-1].bias[:, 0, 0, 3:]

    before_BS = bias_BS()
    for parameter in strength.learned.parameters():
        parameter.mul_(-30)
    after_BS = bias_BS()
    there_BS = before_BS.isfinite()
    assert there_BS.tolist() == after_BS.isfinite().tolist()
    assert there_BS.sum(1).tolist() == [5, 5]
    assert (
        before_BS[there_BS].argsort() != after_BS[there_BS].argsort()
    ).any()  # strength itself was turned around


@torch.no_grad()
def test_fifo_keeps_the_latest(make_titan: MakeTitan) -> None:
    memory, strength = memory_of(make_titan, memory_slots=8, memory_write="fifo")
    h_BTD = torch.randn(1, 40, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, state = memory.write(h_BTD, torch.arange(40)[None], strength, memory.empty(h_BTD))
    assert sorted(state.position[0].tolist())[-8:] == list(range(32, 40))


@torch.no_grad()
def test_what_fades_is_read_less(make_titan: MakeTitan) -> None:
    memory, strength = memory_of(make_titan)
    h_BTD = torch.randn(1, 4, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, state = memory.write(h_BTD, torch.arange(4)[None], strength, memory.empty(h_BTD))
    soon, _ = memory.write(h_BTD[:, :1], torch.tensor([[4]]), strength, state)
    late, _ = memory.write(h_BTD[:, :1], torch.tensor([[24]]), strength, state)
    faded = late[0].bias[..., 3:] - soon[0].bias[..., 3:]
    torch.testing.assert_close(faded, (20 * strength.log_decay()).expand_as(faded))
