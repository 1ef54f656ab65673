"""The ternary model as a GGUF file, which is published only if llama.cpp makes the same of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentforge.data.items import Item
from agentforge.kit.audience import Audience
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.models.gguf.fits import Dense, Ternary
from agentforge.models.gguf.parity import check_parity
from agentforge.models.gguf.tensors import Types
from agentforge.models.gguf.verdict import require
from agentforge.models.gguf.writer import write_gguf
from agentforge.phase4_bitnet.start import Start

_PROMPTS = 16  # of the test split: some hundred positions
_TABLES: dict[int, Dense] = {32: "F32", 8: "Q8_0"}  # by packing.embeddings


def export(
    context: Audience, start: Start, model: Any, items: Sequence[Item], directory: Path, kind: Ternary
) -> None:
    """Layers that stayed plain are F16. parity.json beside the file has what was measured."""
    types = Types("F16", kind, _TABLES[start.config.packing.embeddings])
    file = write_gguf(directory / "model.gguf", model, start.codec, types)
    prompts = [item.prefix + item.prompt + item.completion for item in items[:: max(1, len(items) // _PROMPTS)]]
    parity = check_parity(file, model, start.codec, prompts)
    require(file, parity)
    (directory / "parity.json").write_bytes(canonical_json({"types": asdict(types), "parity": asdict(parity)}))
    how = f"bytes of the file: ternary layers {types.ternary}, plain ones {types.dense}, tables {types.embeddings}"
    context.measure(Measurement("bitnet/gguf/size", file.stat().st_size, "By", how, 1))
    for one in parity.measured("bitnet/gguf"):
        context.measure(one)
