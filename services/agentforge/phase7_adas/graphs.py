"""The files of one model: plain, in 8 and in 4 bits, for TensorRT and for onnxruntime. Every one is checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.data.splits import Split
from agentforge.edge.asking import answer_nats, engine_of, feeds
from agentforge.edge.graph.export import Exported, export
from agentforge.edge.graph.facts import GraphFacts
from agentforge.edge.graph.flavours import CPU_OPSET, for_onnxruntime
from agentforge.edge.profiles import profiles
from agentforge.edge.quantise.cpu import quantise_cpu
from agentforge.edge.quantise.qdq import quantise_qdq, with_pairs
from agentforge.edge.quantise.ranges import calibrate, calibration_cache, checked_items, provenance
from agentforge.edge.quantise.sensitivity import Layer, choose_keep, sensitivity
from agentforge.edge.rules.check import require_tensorrt
from agentforge.kit.audience import Audience
from agentforge.kit.digests import canonical_json
from agentforge.phase7_adas.configs.export import Int8Config
from agentforge.phase7_adas.start import Start

PLAIN, INT8, FOUR_BITS = "cpu_fp32.onnx", "cpu_int8.onnx", "cpu_4bit.onnx"
TENSORRT, QDQ = "model.onnx", "model_int8_qdq.onnx"
_BITS = {"int8": 8, "4bit": 4}


@dataclass
class Files:
    """In `directory`, with graph.json beside them. `variants`: opset, weights and runtime of each, by name."""

    directory: Path
    facts: GraphFacts
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    profiles: dict[str, Any] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)  # layers that stay float in 8 bits
    scan: list[Layer] = field(default_factory=list)
    cache: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        return self.directory / name

    @property
    def for_cpu(self) -> list[str]:
        return [name for name, each in self.variants.items() if each["for"] == "onnxruntime"]


def exported(start: Start, model: Any) -> Exported:
    tokenizer = start.codec.tokenizer
    lead, most = start.codec.lead, start.config.export.context
    return export(model, bos=lead[0] if lead else None, eos=tokenizer.eos_token_id, context=most)


def make_files(context: Audience, start: Start, made: Exported, directory: Path) -> Files:
    import onnx

    files = Files(directory, made.facts)
    (directory / "graph.json").write_bytes(canonical_json(made.facts.record))
    plain = for_onnxruntime(made.model)
    onnx.save(plain, files.path(PLAIN))
    files.variants[PLAIN] = {"opset": CPU_OPSET, "weights": "float32", "for": "onnxruntime"}
    for name in start.config.export.cpu:
        bits = _BITS[name]
        onnx.save(quantise_cpu(plain, bits, block=start.config.export.block), files.path(f"cpu_{name}.onnx"))  # type: ignore[arg-type]
        weights = "int8" if bits == 8 else "int4"
        files.variants[f"cpu_{name}.onnx"] = {"opset": CPU_OPSET, "weights": weights, "for": "onnxruntime"}
    context.check_stop()
    _tensorrt(context, start, made.model, files)
    return files


def _tensorrt(context: Audience, start: Start, model: Any, files: Files) -> None:
    import onnx

    from agentforge.edge.lowering.lower import lower, notes

    lowered = lower(model)
    for note in notes(lowered):
        context.log(f"for TensorRT: {note}", "debug")
    onnx.save(lowered, files.path(TENSORRT))
    inputs = [each.name for each in lowered.graph.input]
    files.profiles = profiles(files.facts.record, inputs=inputs)
    require_tensorrt(files.path(TENSORRT))
    files.variants[TENSORRT] = {"opset": 17, "weights": "float32", "for": "tensorrt"}
    if start.config.export.int8 is not None:
        _eight_bits(context, start, start.config.export.int8, files)


def _eight_bits(context: Audience, start: Start, config: Int8Config, files: Files) -> None:
    batch = start.config.evaluation.batch
    items = checked_items(start.items(Split.CALIBRATION, config.items))
    engine = engine_of(files.path(PLAIN), _threads(start))
    calls = list(feeds(engine, start.codec, items, batch=batch))
    source = files.path(TENSORRT)
    ranges = calibrate(source, _fitting(source, calls))
    files.cache = calibration_cache(ranges)
    files.provenance = provenance(source, items, ranges, len(calls))
    if config.sensitivity:
        files.scan = _scan(start, config, files, ranges)
        files.kept = choose_keep(files.scan, config.bound)
        if files.kept:
            context.log(f"in float, since 8 bits cost too much there: {', '.join(files.kept)}")
    quantise_qdq(source, files.path(QDQ), ranges, per_channel=config.per_channel, keep=files.kept)
    require_tensorrt(files.path(QDQ))
    files.variants[QDQ] = {"opset": 17, "weights": "int8", "for": "tensorrt"}


def _scan(start: Start, config: Int8Config, files: Files, ranges: dict[str, float]) -> list[Layer]:
    import onnx

    items = start.items(Split.SELECTION, config.sensitivity)
    trial = files.path("trial.onnx")

    def quantised(model: Any, keep: Collection[str]) -> Any:
        return with_pairs(model, ranges, per_channel=config.per_channel, keep=keep)

    def loss(model: Any) -> float:
        onnx.save(model, trial)
        nats, count = answer_nats(
            engine_of(trial, _threads(start)), start.codec, items, batch=start.config.evaluation.batch
        )
        return nats / count

    try:
        return sensitivity(onnx.load(files.path(TENSORRT)), quantised, loss)
    finally:
        trial.unlink(missing_ok=True)


def _fitting(source: Path, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without inputs that the file does not have, as the scores of a memory that nobody reads."""
    import onnx

    wanted = {each.name for each in onnx.load(source, load_external_data=False).graph.input}
    return [{name: array for name, array in call.items() if name in wanted} for call in calls]


def _threads(start: Start) -> int:
    return start.config.machine.threads or 0
