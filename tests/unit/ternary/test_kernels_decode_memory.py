"""The C++ runner's long-term memory against the PyTorch model's: every option, in pieces of any length."""

from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.kernels.decode import Decoder
from tests import pico

from .test_kernels_decode import VARIANTS, prompt

PIECES = [70, 1, 1, 13, 1, 8, 1, 1, 29, 1, 1, 1]  # 128 tokens: 16 chunks, 8 windows
MEMORY = {
    "memory": True, "memory_layers": [0, 1], "memory_chunk": 8, "memory_slots": 24, "memory_init_slots": 5,
    "sliding_window": 16,
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "the latest stay": {"memory_write": "fifo"},
    "no momentum": {"memory_momentum": False},
    "no decay": {"memory_decay": False},
    "nothing is forgotten": {"memory_slots": 200, "memory_init_slots": 17},
    "fewer slots than a chunk has": {"memory_slots": 3, "memory_init_slots": 1},
    "no window": {"sliding_window": None, "memory_layers": [1]},
    "odd sizes": {
        "hidden_size": 36, "intermediate_size": 50, "memory_chunk": 7, "memory_slots": 19, "memory_layers": [1],
    },
    "every mechanism": {
        "recursion": True, "recursion_cycles": 2, "recursion_inner": 2, "persistent_tokens": 5,
        "act_steps_train": 3, "act_steps_infer": 3,
    },
}  # fmt: skip


def made(seed: int = 1, **options: Any) -> Any:
    model = pico.titan(**{"num_hidden_layers": 2, **MEMORY, **options})
    return pico.with_noise(model, seed).eval()


@torch.no_grad()
def compared(model: Any, decoder: Decoder) -> Tensor:
    """How far the logits are from the model's after each piece, of its largest."""
    past, far = None, []
    for ids_1T in prompt(sum(PIECES)).split(PIECES, 1):
        out = model(input_ids=ids_1T, past_key_values=past, use_cache=True)
        expected, past = out.logits[0, -1], out.past_key_values
        far.append((decoder.step(ids_1T[0].tolist()) - expected).abs().max() / expected.abs().max())
    return torch.stack(far)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("option", OPTIONS)
def test_logits_are_the_models(option: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_KERNEL", variant)
    model = made(**OPTIONS[option])
    assert float(compared(model, Decoder(model)).max()) < 1e-3


@pytest.mark.parametrize("option", ["all", "every mechanism"])
def test_ternary_too(option: str) -> None:
    model = made(**OPTIONS[option])
    assert {"layers.0.memory.q", "layers.0.memory.kv", "layers.0.memory.o"} <= set(convert(model))
    far = compared(model, Decoder(model))
    assert float(far.median()) < 1e-3
    assert float(far.max()) < 2e-2


def test_what_has_left_the_window_is_remembered() -> None:
    """One layer, whose window is 16 tokens: the first 20 of 60 reach the last by the memory alone."""
    one = prompt(60)[0].tolist()
    other = one[19::-1] + one[20:]
    for memory in (True, False):
        decoder = Decoder(made(num_hidden_layers=1, memory=memory, memory_layers=[0]))
        first = decoder.step(one)
        decoder.reset()
        assert torch.equal(decoder.step(other), first) == (not memory)


def test_a_memory_that_forgets_at_random_is_refused() -> None:
    with pytest.raises(InvalidInput, match="forgets at random"):
        Decoder(made(memory_write="random"))


def test_gates_must_be_plain() -> None:
    model = made()
    convert(model, ["layers.0.memory.gates"])
    with pytest.raises(InvalidInput, match="ternary gates"):
        Decoder(model)
