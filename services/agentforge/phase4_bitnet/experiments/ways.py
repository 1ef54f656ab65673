"""The ways to run a model: each reads tokens and says which is the most likely next. For processes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from agentforge.phase4_bitnet.experiments.shapes import LLAMA_CPP, ONNX, ONNX_FILE, gguf_file


class Way(Protocol):
    version: str

    def reset(self) -> None:
        """No token seen."""

    def read(self, ids: Sequence[int]) -> int:
        """The most likely token after these further ones."""

    def logits(self) -> Tensor:
        """[V], those behind the last answer."""


def built(name: str, folder: Path) -> Way:
    if name in LLAMA_CPP:
        from agentforge.phase4_bitnet.experiments.ways_llama_cpp import LlamaCpp

        return LlamaCpp(gguf_file(folder, LLAMA_CPP[name]))
    if name == ONNX:
        from agentforge.phase4_bitnet.experiments.ways_onnx import Onnx

        return Onnx(folder / ONNX_FILE)
    from agentforge.phase4_bitnet.experiments.ways_torch import WAYS

    return WAYS[name](folder)
