"""The files that are made of the chosen model. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentforge.kit.config import StrictModel

FormatName = Literal[
    "compressed", "huggingface", "pytorch", "onnx", "tensorrt", "gguf", "mobile_tflite", "mobile_pte", "runner"
]
GgufType = Literal["F16", "Q8_0", "Q4_0", "Q4_K_M", "Q2_K", "TQ2_0"]


class FormatsConfig(StrictModel):
    make: list[FormatName] | None = Field(
        None,
        description="Formats by name, each of which must fit; null: all that fit it and whose tools are here.",
    )
    gguf: list[GgufType] = Field(["Q8_0"], description="Types of the GGUF files.")
    items: int = Field(
        20, ge=1, le=100_000, description="Test items of each family that every file is asked in its own runtime."
    )
    same: float = Field(
        0.99,
        ge=0,
        le=1,
        description="Least share of a lossless file's answers that are PyTorch's; below, the run fails.",
    )
