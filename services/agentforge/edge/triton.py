"""config.pbtxt for NVIDIA Triton: the graph as it is, with its state as inputs and outputs.

The client keeps the state. Triton's sequence batching with implicit state is not used: it hands outputs back as
inputs, and here outputs are *new* entries, which the runtime writes into a ring and a memory by its own rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentforge.edge.profiles import facts_of

_TYPES = {"int32": "TYPE_INT32", "float32": "TYPE_FP32"}
_FILES = {"tensorrt": "model.plan", "onnxruntime": "model.onnx"}
_NOTES = {
    "tensorrt": "./build_engine.sh --triton lays this out with its engine. An empty store: one entry, position -1.",
    "onnxruntime": "For the CPU: copy models/cpu_fp32.onnx (or another cpu_*) to 1/model.onnx beside this file.",
}


def config_pbtxt(
    graph: dict[str, Any],
    *,
    backend: str = "tensorrt",
    name: str = "agentforge",
    inputs: Iterable[str] | None = None,
) -> str:
    """`graph`: what graph.json holds; `inputs`: those that the file has, where it is not all.

    Dimensions include the batch, so `max_batch_size` is 0.
    """
    facts = facts_of(graph)
    names = None if inputs is None else set(inputs)
    kind = "KIND_GPU" if backend == "tensorrt" else "KIND_CPU"
    lines = [
        f"# {_NOTES[backend]}",
        "# The client keeps the model's state: see graph.json and runtime/state.py.",
        f'name: "{name}"',
        f'backend: "{backend}"',
        f'default_model_filename: "{_FILES[backend]}"',
        "max_batch_size: 0",
        *(f"input {_tensor(*each)}" for each in facts.inputs() if names is None or each[0] in names),
        *(f"output {_tensor(*each)}" for each in facts.outputs()),
        f"instance_group {{ kind: {kind} count: 1 }}",
    ]
    return "\n".join(lines) + "\n"


def triton_files(graph: dict[str, Any], *, inputs: Iterable[str] | None = None) -> dict[str, str]:
    """Path in the package: text. TensorRT has two engines, so two models; onnxruntime runs both kinds of piece."""
    named = {"agentforge": "onnxruntime", "agentforge_decode": "tensorrt", "agentforge_prefill": "tensorrt"}
    names = None if inputs is None else list(inputs)
    return {
        f"triton/{name}/config.pbtxt": config_pbtxt(graph, backend=backend, name=name, inputs=names)
        for name, backend in named.items()
    }


def _tensor(name: str, kind: str, shape: tuple[str | int, ...]) -> str:
    dims = ", ".join("-1" if isinstance(dim, str) else str(dim) for dim in shape)
    return f'{{ name: "{name}" data_type: {_TYPES[kind]} dims: [ {dims} ] }}'
