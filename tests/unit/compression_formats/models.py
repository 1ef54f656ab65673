"""Models whose weights are so large that hardly two answers are alike; and what to ask them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tests import pico

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

MEMORY = {
    "num_hidden_layers": 2, "memory": True, "memory_layers": [1], "memory_slots": 64, "memory_chunk": 16,
    "memory_init_slots": 3, "persistent_tokens": 3, "sliding_window": 16, "recursion": True,
}  # fmt: skip
FAMILIES = [("arithmetic", 1), ("recall", 1)]
CONTEXT = 64


@functools.cache
def codec() -> Codec:
    from agentforge.data.codec import Codec

    return Codec(pico.tokenizer())


@functools.cache
def items(count: int = 6) -> list[Item]:
    from agentforge.data.generate import items_by_family
    from agentforge.data.splits import Split

    found = items_by_family({name: [each] for name, each in FAMILIES}, Split.TEST, count, 0, field="families")
    return [item for each in found.values() for item in each]


@functools.cache
def model(name: str) -> Any:
    from agentforge.models.ternary.convert import convert
    from agentforge.phase8_compression.formats.packing import packed

    made = pico.llama() if name == "llama" else pico.titan(**(MEMORY if "memory" in name else {}))
    pico.with_noise(made, 1, share=4.0).eval()
    if name in ("ternary", "packed memory"):
        convert(made)
    return packed(made) if "packed" in name else made


@functools.cache
def said(name: str) -> list[str]:
    from agentforge.train.evaluate import answers

    return answers(model(name), codec(), items(), batch=4)
