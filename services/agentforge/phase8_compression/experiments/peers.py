"""What others make of the same model: onnxruntime in 8 and 4 bits, HQQ's own library, zstd."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.kit.errors import MissingTool
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase8_compression.experiments.recipes import asked, start_of
from agentforge.phase8_compression.start import Start
from agentforge.phase8_compression.worth import families
from agentforge.shrink.anatomy import anatomy, matrices
from agentforge.train.machine import settled
from agentforge.train.state import own_tensors

_ONNX = {"onnxruntime, 8 bits": 8, "onnxruntime, 4 bits": 4}
_HQQ_GROUP = 64


def peers(directory: Path, seed: int, scratch: Path, *, test_items: int) -> dict[str, Any]:
    start = start_of(directory, seed, healing=60, tokens=320, test_items=test_items)
    scratch.mkdir(parents=True)
    with settled(start.config.machine):
        found = {name: _onnx(start, bits, scratch) for name, bits in _ONNX.items()}
        found |= {f"zstd of {kind}": _zstd(start, kind) for kind in ("float32", "float16")}
        if not ternary_layers(start.model):
            found |= {f"HQQ, {bits} bits": _hqq(start, bits) for bits in (4, 2)}
    return found


def _onnx(start: Start, bits: int, scratch: Path) -> dict[str, Any]:
    import onnx

    from agentforge.edge.asking import answer_nats, answers, engine_of
    from agentforge.edge.graph.export import export
    from agentforge.edge.graph.flavours import for_onnxruntime
    from agentforge.edge.quantise.cpu import quantise_cpu
    from agentforge.kit.digests import canonical_json

    lead = start.codec.lead
    made = export(start.model, bos=lead[0] if lead else None, eos=start.codec.tokenizer.eos_token_id, context=None)
    (scratch / "graph.json").write_bytes(canonical_json(made.facts.record))
    file = scratch / f"{bits}.onnx"
    onnx.save(quantise_cpu(for_onnxruntime(made.model), bits), file)  # type: ignore[arg-type]
    items = start.items(Split.TEST, start.config.evaluation.test_items)
    engine, batch = engine_of(file, 1), start.config.evaluation.batch
    nats, count = answer_nats(engine, start.codec, items, batch=batch)
    right = families(items, score_items(items, answers(engine, start.codec, items, batch=batch)))
    return {
        "bytes": file.stat().st_size, "accuracy": sum(right.values()) / len(right), "families": right,
        "nats": nats / count,
    }  # fmt: skip


def _zstd(start: Start, kind: str) -> dict[str, Any]:
    """Of all weights in a row; float16 is asked as it comes back, float32 is what it was."""
    try:
        import zstandard
    except ImportError as error:
        raise MissingTool(
            "zstandard is not installed", field="zstandard", next_step="pip install zstandard"
        ) from error
    model, dtype = copy.deepcopy(start.model), torch.float16 if kind == "float16" else torch.float32
    data = b""
    with torch.no_grad():
        for name, tensor in sorted(own_tensors(model).items()):
            held = tensor.to(dtype) if tensor.is_floating_point() else tensor
            data += held.contiguous().numpy().tobytes()
            if tensor.is_floating_point():
                model.get_parameter(name).copy_(held) if name in dict(model.named_parameters()) else tensor.copy_(
                    held
                )
    return asked(start, model, start.codec, len(zstandard.ZstdCompressor(level=19).compress(data)))


def _hqq(start: Start, bits: int) -> dict[str, Any]:
    """All matrices by HQQ's quantiser with its defaults, embeddings too (in 4 bits), the rest at 16 bits."""
    try:
        from hqq.core.quantize import Quantizer
    except ImportError as error:
        raise MissingTool("hqq is not installed", field="hqq", next_step="pip install hqq") from error
    model = copy.deepcopy(start.model)
    groups = matrices(model, anatomy(model))
    named = {name: bits if group != "embeddings" else 4 for group, names in groups.items() for name in names}
    size = 0
    with torch.no_grad():
        for name, tensor in own_tensors(model).items():
            if name not in named:
                size += 2 * tensor.numel()
                continue
            codes, meta = Quantizer.quantize(
                tensor.float(), nbits=named[name], channel_wise=True, group_size=_HQQ_GROUP, optimize=True, axis=1,
                device="cpu", compute_dtype=torch.float32,
            )  # fmt: skip
            size += codes.numel() * codes.element_size() + 2 * (meta["scale"].numel() + meta["zero"].numel())
            tensor.copy_(Quantizer.dequantize(codes, meta).view(tensor.shape))
    return asked(start, model, start.codec, size)
