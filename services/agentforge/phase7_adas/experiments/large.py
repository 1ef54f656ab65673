"""Models of 25 M parameters with the weights that they begin with: speed does not depend on them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agentforge.edge.asking import engine_of
from agentforge.edge.device.runtime.state import State
from agentforge.edge.graph.export import export
from agentforge.edge.graph.flavours import for_onnxruntime
from agentforge.edge.quantise.cpu import quantise_cpu
from agentforge.edge.timing import decode_seconds
from agentforge.kit.digests import canonical_json
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.phase7_adas.experiments.speed import FOUR_BITS, INT8, PLAIN

_TEXTS = ((1, 0), (2, 0), (1, 1), (64, 0), (1, 64), (5, 70), (64, 300))  # new tokens, tokens seen


def measured(name: str, threads: int, *, seen: int, steps: int, turns: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = _made(name).eval()
    with TemporaryDirectory(prefix="af-speed-") as scratch:
        began = perf_counter()
        exported = export(model)
        export_s = perf_counter() - began
        place = Path(scratch)
        (place / "graph.json").write_bytes(canonical_json(exported.facts.record))
        plain = for_onnxruntime(exported.model)
        files = {PLAIN: plain, INT8: quantise_cpu(plain, 8), FOUR_BITS: quantise_cpu(plain, 4)}
        for file, graph in files.items():
            onnx.save(graph, place / file)
        paths = {file: place / file for file in files}
        return {
            "export_s": export_s, "shapes": len(_TEXTS), "nodes": len(plain.graph.node),
            "bytes": {file: path.stat().st_size for file, path in paths.items()},
            "parity": {file: _parity(model, path) for file, path in paths.items()},
            "turns": [
                decode_seconds(model, paths, seen=seen, steps=steps, threads=threads) for _ in range(turns)
            ],
        }  # fmt: skip


def _made(name: str) -> Any:
    if name == "titan":
        return TitanForCausalLM(TitanConfig.preset("full"))
    if name == "titan_plain":
        return TitanForCausalLM(TitanConfig.preset("full", memory=False))
    config = LlamaConfig(
        vocab_size=32_000, tie_word_embeddings=True, hidden_size=216, num_hidden_layers=11,
        num_attention_heads=4, intermediate_size=2_048,
    )  # fmt: skip
    return LlamaForCausalLM(config)


@torch.no_grad()
def _parity(model: Any, file: Path) -> float:
    engine = engine_of(file, torch.get_num_threads())
    dice = np.random.default_rng(0)
    worst = 0.0
    for new, seen in _TEXTS:
        ids = dice.integers(0, engine.graph.vocabulary, seen + new).tolist()
        state = State(engine.graph)
        if seen:
            engine.feed(state, [ids[:seen]])
        ours = engine.feed(state, [ids[seen:]])[0]
        theirs = model(torch.tensor([ids])).logits[0, -1].numpy()
        worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
    return worst
