"""CompressionOrchestrator: who works when, and what goes out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from agentforge.codecs.model import load_compressed
from agentforge.codecs.sizes import sizes
from agentforge.kit import ranks
from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.phase8_compression.agents import quantiser
from agentforge.phase8_compression.agents.analyser import analyse
from agentforge.phase8_compression.agents.optimizer import Chosen, optimise
from agentforge.phase8_compression.agents.packager import Package, package
from agentforge.phase8_compression.agents.profiler import profile
from agentforge.phase8_compression.agents.validator import Validated, validate
from agentforge.phase8_compression.formats.face import Options
from agentforge.phase8_compression.publish import (
    ARTIFACTS,
    MODEL,
    REPORT,
    Final,
    publish_artifacts,
    publish_model,
    publish_report,
)
from agentforge.phase8_compression.start import Start
from agentforge.phase8_compression.workshop import Workshop

_COUNTED = "counted from the final model's tensors"
_GOLDEN = 4  # prompts
_ZEROS = "zeros among weights of layers as they are used"


def orchestrate(context: PhaseContext, start: Start) -> None:
    analysis = analyse(start.model)
    shop = Workshop(start, context.work)
    chosen = optimise(context, shop)
    if not ranks.leader_goes_on():
        return
    made = chosen.made
    directory = fresh(context.scratch / "compression")
    shop.store(made, directory / "model")
    start.save_beside(directory / "model", made.words.codec)
    final_model = load_compressed(directory / "model")
    validated = validate(start, final_model, made.words.codec)
    counted = [*_sizes(start, chosen, directory / "model"), *chosen.measured]
    timed = profile(start, made.model, directory / "model")
    final = Final(
        directory / "model", made.words.codec, chosen.genes, chosen.record, analysis, validated, counted, timed
    )
    if not validated.passed:
        context.log(
            "on the test split it keeps less than was asked for: what was promised by selection was luck", "warning"
        )
    packed = _packed(context, start, final, final_model, directory / "formats")
    for one in (*analysis.measured, *counted, *validated.measured, *timed, *packed.measured, *packed.timed):
        context.measure(one)
    if MODEL not in context.published:
        publish_model(context, start, final)
    if ARTIFACTS not in context.published:
        publish_artifacts(context, final, packed, directory / "formats")
    if REPORT not in context.published:
        publish_report(context, start, final, packed)


def _packed(context: PhaseContext, start: Start, final: Final, model: Any, place: Path) -> Package:
    """Questions of each family in turns, as many as every file is asked."""
    place.mkdir()
    config = start.config
    given = context.inputs.maybe("package")
    pairs = [
        (final.validated.items[at], final.validated.said[at])
        for at in _places(final.validated, config.formats.items)
    ]
    options = Options(
        context=config.data.length, threads=config.machine.threads,
        ternary=any(isinstance(each, PackedLinear) for each in model.modules()),
        gguf=tuple(config.formats.gguf), package=None if given is None else given.path, seed=config.seed,
        forge=final.directory, golden=tuple((item.prefix + item.prompt, text) for item, text in pairs[:_GOLDEN]),
    )  # fmt: skip
    items, said = [item for item, _ in pairs], [text for _, text in pairs]
    return package(context, start, model, final.codec, place, options, items, said)


def _places(validated: Validated, count: int) -> list[int]:
    """Of the first so many items of each family."""
    seen: dict[str, int] = {}
    found = []
    for place, item in enumerate(validated.items):
        seen[item.family] = seen.get(item.family, 0) + 1
        if seen[item.family] <= count:
            found.append(place)
    return found


def _sizes(start: Start, chosen: Chosen, directory: Path) -> list[Measurement]:
    """The seeds' names; all counted, nothing timed."""
    found, model = sizes(directory), chosen.made.model
    parameters = sum(each.numel() for each in model.parameters())
    whole = 4 * sum(each.numel() for each in start.model.parameters())
    bits = quantiser.bits_told(chosen.genes, model)
    return [
        Measurement("compression/file_bytes", float(found.file), "By", "of model.forge", 1),
        Measurement(
            "compression/compression_ratio", whole / found.file, "1",
            "bytes of the input's parameters in float32, over those of model.forge", 1,
        ),
        Measurement("compression/parameters", float(parameters), "1", _COUNTED, parameters),
        Measurement("compression/pruning_sparsity", zeros(model), "1", _ZEROS, parameters),
        Measurement("compression/quantization_bits", bits, "bit", "of the matrices in layers, scales aside", 1),
    ]  # fmt: skip


def zeros(model: object) -> float:
    parts = [part for name, part in analyse(model).parts.items() if name not in ("rest", "embeddings")]
    count = sum(part.parameters for part in parts)
    return sum(part.zeros for part in parts) / count if count else 0.0


def fresh(directory: Path) -> Path:
    """Without what an earlier attempt of this process left."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
