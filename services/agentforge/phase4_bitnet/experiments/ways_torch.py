"""Our runner on the packed file, and PyTorch in float32, as it is and compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, StaticCache

from agentforge.models.ternary.kernels import chosen
from agentforge.models.ternary.kernels.decode import Decoder
from agentforge.models.ternary.unpacking import load_packed
from agentforge.phase4_bitnet.experiments.shapes import COMPILED, CONTEXT, EAGER, OURS, PACKED, PLAIN


class Ours:
    def __init__(self, folder: Path) -> None:
        self._decoder = Decoder(load_packed(folder / PACKED), context=CONTEXT)
        self.version = f"kernel {chosen()}"

    def reset(self) -> None:
        self._decoder.reset()

    def read(self, ids: Sequence[int]) -> int:
        self._logits = self._decoder.step(ids)
        return int(self._logits.argmax())

    def logits(self) -> Tensor:
        return self._logits


class Eager:
    """A greedy loop over the model's own forward pass and cache, without what generate() adds to it."""

    def __init__(self, folder: Path) -> None:
        self._model = _plain(folder)
        self.version = f"torch {torch.__version__}"
        self.reset()

    def reset(self) -> None:
        self._past: Any = None

    @torch.inference_mode()
    def read(self, ids: Sequence[int]) -> int:
        out = self._model(
            input_ids=torch.tensor([ids]), past_key_values=self._past, use_cache=True, logits_to_keep=1
        )
        self._past, self._logits = out.past_key_values, out.logits[0, -1]
        return int(self._logits.argmax())

    def logits(self) -> Tensor:
        logits_V: Tensor = self._logits
        return logits_V


class Compiled:
    """A token's whole graph by Inductor, with a cache of fixed room; as generate() does, prompts run eagerly."""

    def __init__(self, folder: Path) -> None:
        self._model = _plain(folder)
        self._cache: Any = StaticCache(config=self._model.config, max_cache_len=CONTEXT)
        self._compiled: Any = torch.compile(self._step, dynamic=False, fullgraph=True)
        self.version = f"torch {torch.__version__}"

    def reset(self) -> None:
        self._cache.reset()
        self._seen = 0

    def _step(self, ids_1T: Tensor, place_1T: Tensor) -> Tensor:
        out = self._model(
            input_ids=ids_1T, position_ids=place_1T, past_key_values=self._cache, use_cache=True, logits_to_keep=1
        )
        logits_V: Tensor = out.logits[0, -1]
        return logits_V

    @torch.no_grad()
    def read(self, ids: Sequence[int]) -> int:
        step = self._compiled if len(ids) == 1 else self._step
        self._logits = step(torch.tensor([ids]), torch.arange(self._seen, self._seen + len(ids))[None])
        self._seen += len(ids)
        return int(self._logits.argmax())

    def logits(self) -> Tensor:
        return self._logits


def _plain(folder: Path) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(folder / PLAIN, dtype=torch.float32, local_files_only=True)
    return model.eval().requires_grad_(False)


WAYS: dict[str, Callable[[Path], Ours | Eager | Compiled]] = {OURS: Ours, EAGER: Eager, COMPILED: Compiled}
