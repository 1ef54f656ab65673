"""llama.cpp with one file, through llama-cpp-python: ids of texts and logits of every position, on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentforge.kit.errors import DataLoss
from agentforge.models.gguf.tools import tool


@contextmanager
def _plain_buffers(llama_cpp: Any) -> Iterator[None]:
    """Its "extra buffer types", AMX among them, crash in version 0.3.36 at Q8_0; `Llama` cannot leave them out."""
    low = llama_cpp.llama_cpp
    default = low.llama_model_default_params

    def parameters() -> Any:
        found = default()
        found.use_extra_bufts = False
        return found

    low.llama_model_default_params = parameters
    try:
        yield
    finally:
        low.llama_model_default_params = default


class Llama:
    """A context. Keys and values are cached as float32: by default llama.cpp rounds them to 16 bits."""

    def __init__(self, file: Path, length: int) -> None:
        llama_cpp = tool("llama_cpp")
        try:
            with _plain_buffers(llama_cpp):
                self._llama = llama_cpp.Llama(
                    str(file), n_ctx=length, n_batch=length, n_ubatch=length, n_threads=1, n_threads_batch=1,
                    n_gpu_layers=0, logits_all=True, flash_attn=False, verbose=False,
                    type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
                )  # fmt: skip
        except (ValueError, RuntimeError) as error:
            message = f"llama.cpp cannot load {file}: {error}"
            raise DataLoss(message, reason="BROKEN_FILE", field=str(file)) from error

    def close(self) -> None:
        self._llama.close()

    def ids(self, text: str) -> list[int]:
        """Whether a text begins with a special token is for the file to say."""
        found: list[int] = self._llama.tokenize(text.encode(), add_bos=True, special=True)
        return found

    def logits(self, ids: list[int]) -> Tensor:
        """[positions, vocabulary], float32."""
        self._llama.reset()
        self._llama.eval(ids)
        return torch.from_numpy(self._llama.scores[: len(ids)].copy())
