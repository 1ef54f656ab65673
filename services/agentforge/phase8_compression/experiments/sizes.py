"""Whole files of a 25 M Titan: bytes beside float32, at full vocabulary and with fewer tokens.

The weights are drawn at random and made ternary by absmean. Codes of trained models take a little less or more:
their entropy is told beside, of the pipeline's own models, by `road`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, stated
from agentforge.kit.rng import Rng

SEEDS = (42, 1337, 2023)
BARS = {32_000: 11.5, 8_192: 17.0, 2_500: 20.0}  # tokens to times smaller
CEILINGS = {32_000: 12.1, 8_192: 18.7, 2_500: 21.5}  # reckoned before entropy coding
EMBEDDINGS = ("grid8", "grid4", "grid3")
FILES = [(tokens, name, entropy) for tokens in BARS for name in EMBEDDINGS for entropy in (True, False)]
_MAIN = "grid4"
_LINEARS = "embeddings at 4 bits, all else at 16, entropy coded"


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    import torch

    from agentforge.models import TitanConfig, TitanForCausalLM
    from agentforge.models.ternary.convert import convert
    from agentforge.phase8_compression.vocabulary.trim import trimmed

    torch.manual_seed(Rng(seed, "sizes").seed)
    model: Any = TitanForCausalLM(TitanConfig())
    parameters = sum(each.numel() for each in model.parameters())
    convert(model)
    small = {size: trimmed(model, range(size)) for size in BARS if size < model.config.vocab_size}
    files = [_stored(small.get(tokens, model), name, entropy) for tokens, name, entropy in FILES]
    return {"parameters": parameters, "files": files}  # in the order of FILES


def _stored(model: Any, embeddings: str, entropy: bool) -> dict[str, Any]:
    from agentforge.codecs.model import save_compressed
    from agentforge.codecs.sizes import sizes
    from agentforge.phase8_compression.agents.quantiser import plan_of

    plan = plan_of(model, {"embeddings": embeddings, "linears": "grid4", "rest": "float16"})
    with TemporaryDirectory(prefix="af-sizes-") as scratch:
        save_compressed(Path(scratch), model, plan, entropy=entropy)
        return asdict(sizes(Path(scratch)))


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    found = []
    for tokens, bar in BARS.items():
        claim = f"25 M Titan, {tokens:,} tokens: whole file, times smaller than the whole model in float32"
        method = f"{_LINEARS}; near ceiling {CEILINGS[tokens]} before entropy coding"
        found.append(at_least(claim, bar, _ratios(every, tokens, _MAIN, True), "1", method=method))
        for name in EMBEDDINGS:
            for entropy in (True, False):
                if (name, entropy) != (_MAIN, True):
                    how = f"embeddings by {name}, {'with' if entropy else 'without'} entropy coding"
                    found.append(stated(f"{claim}: {how}", _ratios(every, tokens, name, entropy), "1"))
    return found


def _ratios(every: list[dict[str, Any]], tokens: int, embeddings: str, entropy: bool) -> list[float]:
    place = FILES.index((tokens, embeddings, entropy))
    return [4 * one["parameters"] / one["files"][place]["file"] for one in every]
