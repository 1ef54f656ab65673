"""A whole model in one call for each token: at 25 million parameters Python takes longer than the arithmetic.

Ternary layers compute as KernelLinear does. Embedding and head stay in the 4 or 8 bits of a packed file, and such a
head's input has 15; what else there is stays float32, other embeddings and heads and the long-term memory too.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput, MissingTool
from agentforge.models.ternary.kernels.library import choose
from agentforge.models.ternary.kernels.parts import Parts
from agentforge.models.ternary.kernels.shapes import described

CHUNK = 64  # tokens of a prompt that pass through together


class Decoder:
    """One sequence. Threads are those that torch has when it is made; how many never changes a result."""

    def __init__(self, model: Any, context: int = 2048, chunk: int = CHUNK) -> None:
        kernel = choose()
        if kernel is None:
            step = "Install a C++ compiler, or decode with generate()."
            raise MissingTool(
                "the runner is C++, and no kernel was built", field="AGENTFORGE_KERNEL", next_step=step
            )
        self._parts = Parts()  # the runner points into it
        told = described(model, context, self._parts)
        self.vocabulary = told.head.rows
        self._embeddings = told.embedding.rows
        self._limit = None if told.window else context
        self._library = kernel.library
        pointer = ctypes.addressof(told)
        self._runner = kernel.library.decode_new(kernel.variant, pointer, chunk, torch.get_num_threads())
        weakref.finalize(self, kernel.library.decode_free, self._runner)

    @property
    def length(self) -> int:
        """Tokens seen."""
        return int(self._library.decode_length(self._runner))

    def reset(self) -> None:
        self._library.decode_reset(self._runner)

    def step(self, ids: Sequence[int]) -> Tensor:
        """Logits [V] after these further tokens."""
        if not ids or min(ids) < 0 or max(ids) >= self._embeddings:
            message = f"no tokens, or some outside 0 to {self._embeddings - 1}"
            raise InvalidInput(message, reason="UNKNOWN_TOKEN", field="ids")
        if self._limit is not None and self.length + len(ids) > self._limit:
            message = f"{self.length + len(ids)} tokens do not fit a context of {self._limit}"
            raise InvalidInput(message, reason="TOO_LONG", field="context", next_step="Make a longer context.")
        logits_V = torch.empty(self.vocabulary)
        array = (ctypes.c_int32 * len(ids))(*ids)
        self._library.decode_step(self._runner, ctypes.addressof(array), len(ids), logits_V.data_ptr())
        return logits_V

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The `count` most likely tokens after these."""
        found: list[int] = []
        while len(found) < count:
            found.append(int(self.step(ids).argmax()))
            ids = found[-1:]
        return found
