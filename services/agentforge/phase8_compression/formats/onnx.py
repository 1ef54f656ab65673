"""ONNX files for onnxruntime on a CPU: float32, 8 and 4 bits. Integer sums of ternary layers stay exact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentforge.kit.errors import Violation
from agentforge.phase8_compression.formats.face import Described, Format, Made, Options
from agentforge.phase8_compression.formats.graphs import (
    GRAPH,
    TOKENIZER,
    answered,
    beside,
    cannot_export,
    exported,
)

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

NAMES = {"fp32": "cpu_fp32.onnx", "int8": "cpu_int8.onnx", "4bit": "cpu_4bit.onnx"}
_BITS: dict[str, Literal[8, 4]] = {"int8": 8, "4bit": 4}


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    import onnx

    from agentforge.edge.graph.flavours import CPU_OPSET, for_onnxruntime
    from agentforge.edge.quantise.cpu import quantise_cpu

    found = exported(model, codec)
    beside(directory, found, codec)
    plain = for_onnxruntime(found.model)
    for name in options.cpu:
        bits = _BITS.get(name)
        onnx.save(
            plain if bits is None else quantise_cpu(plain, bits, block=options.block), directory / NAMES[name]
        )
    runs = {NAMES[name]: name == "fp32" for name in options.cpu}
    told = {"opset": CPU_OPSET, "block": options.block, "threads": options.threads}
    return Made(directory, (*runs, GRAPH, TOKENIZER), runs, told)


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    return answered(made, codec, items, batch=batch, file=file, threads=made.told["threads"])


def cannot(described: Described, options: Options) -> list[Violation]:
    return cannot_export("formats.onnx", described)


FORMAT = Format(
    "onnx", tuple(NAMES.values()), True, {"onnx": "edge", "onnxruntime": "edge", "onnx_ir": "edge"},
    make, answers, cannot,
)  # fmt: skip
