"""The final model in every format. None of their tools, nor torch, is imported before it is used."""

from __future__ import annotations

from agentforge.phase8_compression.formats import (
    compressed,
    gguf,
    huggingface,
    mobile_pte,
    mobile_tflite,
    onnx,
    pytorch,
    runner,
    tensorrt,
)
from agentforge.phase8_compression.formats.face import Format, Made, Options, agreement, agreements

__all__ = ["FORMATS", "Format", "Made", "Options", "agreement", "agreements"]

_EVERY = (compressed, huggingface, pytorch, onnx, tensorrt, gguf, mobile_tflite, mobile_pte, runner)
FORMATS: dict[str, Format] = {each.FORMAT.name: each.FORMAT for each in _EVERY}
