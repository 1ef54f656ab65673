"""llama.cpp through the C face of llama-cpp-python: what its own programs call for each token, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentforge.models.gguf.tools import tool
from agentforge.phase4_bitnet.experiments.shapes import CONTEXT


class LlamaCpp:
    def __init__(self, file: Path) -> None:
        self._llama: Any = tool("llama_cpp")
        tool("gguf")  # without it there is no file
        self._llama.llama_backend_init()
        settings = self._llama.llama_model_default_params()
        settings.n_gpu_layers = 0
        model = self._llama.llama_model_load_from_file(str(file).encode(), settings)
        if not model:
            raise RuntimeError(f"llama.cpp does not load {file}")
        self._vocabulary = self._llama.llama_vocab_n_tokens(self._llama.llama_model_get_vocab(model))
        self._context = self._llama.llama_init_from_model(model, self._settings())
        if not self._context:
            raise RuntimeError(f"llama.cpp makes no context for {file}")
        self.version = f"llama-cpp-python {self._llama.__version__}: " + " ".join(
            self._llama.llama_print_system_info().decode().split()
        )

    def _settings(self) -> Any:
        settings, threads = self._llama.llama_context_default_params(), torch.get_num_threads()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = CONTEXT
        settings.n_threads = settings.n_threads_batch = threads
        settings.no_perf = True
        return settings

    def reset(self) -> None:
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), False)

    def read(self, ids: Sequence[int]) -> int:
        array = (self._llama.llama_token * len(ids))(*ids)
        failed = self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(array, len(ids)))
        if failed:
            raise RuntimeError(f"llama_decode ended with {failed}")
        logits = self._llama.llama_get_logits_ith(self._context, -1)
        self._logits = np.ctypeslib.as_array(logits, (self._vocabulary,))
        return int(self._logits.argmax())

    def logits(self) -> Tensor:
        return torch.from_numpy(self._logits.copy())
