"""The final model in every format. None of them, nor torch, is imported before it is used."""

from __future__ import annotations

from agentforge.phase8_compression.formats import compressed, gguf, huggingface, onnx, pytorch, runner, tensorrt
from agentforge.phase8_compression.formats.face import Format, Made, Options, agreement, agreements

__all__ = ["FORMATS", "Format", "Made", "Options", "agreement", "agreements"]

FORMATS: dict[str, Format] = {
    each.FORMAT.name: each.FORMAT for each in (compressed, huggingface, pytorch, onnx, tensorrt, gguf, runner)
}
