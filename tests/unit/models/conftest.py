"""Small Titans in float64, all mechanisms on: what they must do exactly, they do to 1e-10 here."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from agentforge.models import TitanConfig, TitanForCausalLM

VOCAB = 64
SMALL: dict[str, Any] = {
    "vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
    "intermediate_size": 24, "sliding_window": 6, "memory_chunk": 4, "memory_slots": 64, "memory_init_slots": 3,
    "memory_layers": [0, 2], "persistent_tokens": 2, "act_rank": 3, "act_steps_train": 3, "act_steps_infer": 3,
}  # fmt: skip
PLAIN: dict[str, Any] = {"memory": False, "act": False, "recursion": False, "persistent_tokens": 0}

MakeTitan = Callable[..., TitanForCausalLM]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_titan() -> MakeTitan:
    def make(**overrides: Any) -> TitanForCausalLM:
        torch.manual_seed(0)
        model = TitanForCausalLM(TitanConfig(**{**SMALL, **overrides}))
        if model.strength is not None:  # a decay and a learned strength that matter within 40 tokens
            torch.nn.init.normal_(model.strength.learned[2].weight)
            if model.strength.decay is not None:
                torch.nn.init.constant_(model.strength.decay, 3.0)
        return model.double().eval()

    return make


@pytest.fixture
def ids_BT() -> torch.Tensor:
    return torch.randint(1, VOCAB, (3, 40), generator=torch.Generator().manual_seed(7))
