"""Greedy answers by llama.cpp through llama-cpp-python's low level, whose face is llama.cpp's own."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from agentforge.kit.errors import DataLoss, RunFailed
from agentforge.models.gguf.tools import tool


class Package:
    """Keys and values are cached in 16 bits, as llama.cpp does by default.

    Its kernels for AMX (one of the "extra buffer types") crash in version 0.3.36 on machines that have it.
    """

    def __init__(self, file: Path, length: int, threads: int) -> None:
        """`threads` 0: as llama.cpp would have it."""
        self._api = api = tool("llama_cpp")
        api.llama_backend_init()
        settings = api.llama_model_default_params()
        settings.n_gpu_layers, settings.use_extra_bufts = 0, False
        self._model = api.llama_model_load_from_file(str(file).encode(), settings)
        if not self._model:
            raise DataLoss(f"llama.cpp cannot load {file}", reason="BROKEN_FILE", field=str(file))
        self._vocabulary = api.llama_model_get_vocab(self._model)
        context = api.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = length
        if threads:
            context.n_threads = context.n_threads_batch = threads
        self._context = api.llama_init_from_model(self._model, context)
        if not self._context:
            api.llama_model_free(self._model)
            raise RunFailed(f"llama.cpp has no room for {length} tokens of {file}", reason="RUNTIME_FAILED")

    def close(self) -> None:
        self._api.llama_free(self._context)
        self._api.llama_model_free(self._model)

    def greedy(self, text: str, room: int, eos: int) -> list[int]:
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)
        unread, found = self._ids(text), list[int]()
        while len(found) < room:
            token = int(self._logits(unread).argmax())
            if token == eos:
                break
            found.append(token)
            unread = [token]
        return found

    def _ids(self, text: str) -> list[int]:
        raw = text.encode()
        most = len(raw) + 2  # a token is a byte at least; and what may stand around the text
        ids = (self._api.llama_token * most)()
        count = self._api.llama_tokenize(self._vocabulary, raw, len(raw), ids, most, True, True)
        if count < 1:
            raise RunFailed(f"llama.cpp makes no tokens of {text[:50]!r}", reason="RUNTIME_FAILED")
        return list(ids[:count])

    def _logits(self, unread: list[int]) -> Any:
        """[vocabulary], of the last token. They lie in llama.cpp's memory until the next call."""
        ids = (self._api.llama_token * len(unread))(*unread)
        code = self._api.llama_decode(self._context, self._api.llama_batch_get_one(ids, len(unread)))
        if code:
            raise RunFailed(f"llama.cpp's decode ended with {code}", reason="RUNTIME_FAILED")
        pointer = self._api.llama_get_logits_ith(self._context, -1)
        size = self._api.llama_vocab_n_tokens(self._vocabulary)
        return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), shape=(size,))
