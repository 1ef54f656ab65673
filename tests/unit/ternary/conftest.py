"""Pico models whose every mechanism is on, and what they say."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import settings

from tests import pico

settings.register_profile("ternary", deadline=None, derandomize=True)
settings.load_profile("ternary")

MODELS: dict[str, Callable[[], Any]] = {
    "titan": lambda: pico.titan(memory=True, memory_layers=[0], recursion=True, persistent_tokens=2),
    "llama": pico.llama,
    "llama with biases and a head of its own": lambda: pico.llama(tie_word_embeddings=False, attention_bias=True),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]().eval()


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids_BT = torch.randint(1, 40, (2, 20), generator=torch.Generator().manual_seed(7))
    found: torch.Tensor = model(input_ids=ids_BT).logits
    return found
