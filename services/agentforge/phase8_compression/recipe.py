"""The genes of a candidate: what each may be for a model and a strategy. First choices are the model as it came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase8_compression.config import CompressionConfig
from agentforge.shrink.anatomy import EMBEDDINGS, Anatomy, anatomy, matrices
from agentforge.shrink.asking import Genes

LAYERS, WIDTH, HEADS, SPARSITY = "layers", "mlp_units", "heads", "sparsity"
VOCABULARY, STUDENT = "vocabulary", "student"
IN_EMBEDDINGS, IN_LINEARS, IN_REST = "embeddings", "linears", "rest"
DENSE, NOBODY = "none", "none"
CUTS = (LAYERS, WIDTH, HEADS, SPARSITY, VOCABULARY, STUDENT)  # after these a model is healed
_CODECS = (IN_EMBEDDINGS, IN_LINEARS, IN_REST)
_UNITS = 8  # MLP units come in eights, so that rows fill vectors
_SEED_TOKENS = 0.05
_SEED_CODECS = ("seedlm4", "seedlm3", "vptq4", "vptq2", "hyper8", "hyper4")
_OF_STRATEGY: Mapping[str, tuple[str, ...]] = {
    "hybrid": (LAYERS, WIDTH, HEADS, SPARSITY, VOCABULARY, *_CODECS),
    "quantisation": _CODECS,
    "pruning": (LAYERS, WIDTH, HEADS, SPARSITY, IN_REST),
    "distillation": (STUDENT, VOCABULARY, *_CODECS),
    "progressive": (SPARSITY, IN_REST),
    "seeds": (VOCABULARY, *_CODECS),
}


@dataclass(frozen=True)
class Space:
    choices: Mapping[str, tuple[int | str, ...]]  # by gene: two or more
    absent: Mapping[str, str]  # a gene that was asked for, and why the model has none

    @property
    def unsearched(self) -> Genes:
        return {gene: values[0] for gene, values in self.choices.items()}

    @property
    def first(self) -> list[Genes]:
        """Students, with the fewest tokens; else nothing is cut, and all in fewer bits, the gentlest first."""
        codecs = {gene: self.choices[gene] for gene in _CODECS if gene in self.choices}
        fewer = [
            {gene: values[min(step, len(values) - 1)] for gene, values in codecs.items()}
            for step in range(1, max(map(len, codecs.values()), default=1))
        ]
        if STUDENT not in self.choices:
            return [self.unsearched | each for each in fewer]
        words = {VOCABULARY: self.choices[VOCABULARY][-1]} if VOCABULARY in self.choices else {}
        gentlest = fewer[0] if fewer else {}
        return [self.unsearched | words | gentlest | {STUDENT: name} for name in self.choices[STUDENT][1:]]

    @property
    def size(self) -> int:
        return math.prod(len(values) for values in self.choices.values())


def space_of(model: Any, vocabulary: int, config: CompressionConfig, smallest: int) -> Space:
    """`vocabulary`: tokens of the tokenizer, of which `smallest` must stay (asked for by the seeds' strategy)."""
    parts, space = anatomy(model), config.space
    groups = matrices(model, parts)
    plain = [name for group, names in groups.items() if group != EMBEDDINGS for name in names]
    absent: dict[str, str] = {}
    found: dict[str, tuple[int | str, ...]] = {
        STUDENT: (NOBODY, *sorted(config.distillation.students)),
        LAYERS: tuple(range(parts.layers, max(1, math.ceil(space.layers * parts.layers)) - 1, -1)),
        WIDTH: _shares(parts.width, space.mlp, _step(model, parts)),
        HEADS: _heads(model, parts, space.heads, absent),
        SPARSITY: (DENSE, *_zeros(model, plain, space.sparsity)),
        VOCABULARY: (vocabulary, *sorted({size for size in space.vocabulary if size < vocabulary}, reverse=True)),
        IN_EMBEDDINGS: ("float32", *space.embeddings),
        IN_LINEARS: ("float32", *space.linears) if plain else (),
        IN_REST: ("float32", *(each for each in space.rest if each != "float32")),
    }
    if not plain:
        absent[IN_LINEARS] = "all its layers are ternary, and are stored by their codes"
    if config.strategy == "seeds":
        found |= _seeds(found, vocabulary, smallest)
    asked = _OF_STRATEGY[config.strategy]
    return Space(
        {gene: tuple(dict.fromkeys(found[gene])) for gene in asked if len(set(found[gene])) > 1},
        {gene: why for gene, why in absent.items() if gene in asked},
    )


def _seeds(
    found: Mapping[str, tuple[int | str, ...]], vocabulary: int, smallest: int
) -> dict[str, tuple[int | str, ...]]:
    """Theirs, whatever the config's space says: 5 % of the tokens, SeedLM, VPTQ, points on a trajectory. A tensor
    takes one of the three: rounding what was rounded brings nothing."""
    few = max(smallest, round(_SEED_TOKENS * vocabulary))
    return {
        VOCABULARY: (vocabulary, few) if few < vocabulary else (vocabulary,),
        IN_EMBEDDINGS: ("float32", *_SEED_CODECS),
        IN_LINEARS: ("float32", *_SEED_CODECS) if found[IN_LINEARS] else (),
    }


def cut_genes(genes: Genes, unsearched: Genes) -> Genes:
    """Those of a candidate that change its weights before they are stored."""
    return {gene: genes[gene] for gene in CUTS if gene in genes and genes[gene] != unsearched[gene]}


def _zeros(model: Any, plain: list[str], asked: Iterable[str]) -> list[str]:
    layers = ternary_layers(model)
    widths = [model.get_parameter(name).shape[1] for name in plain] + [each.in_features for each in layers.values()]
    odd = any(width % 4 for width in widths)
    return [each for each in asked if not (odd and each == "2:4")]


def _heads(model: Any, parts: Anatomy, shares: Iterable[float], absent: dict[str, str]) -> tuple[int, ...]:
    """Of a Llama: whole groups of queries that share a key."""
    count = model.config.num_attention_heads
    if parts.titan:
        absent[HEADS] = "a Titan has as many head sizes times heads as hidden_size: fewer cannot be expressed"
        return (count,)
    return _shares(count, shares, count // (getattr(model.config, "num_key_value_heads", None) or count))


def _shares(whole: int, shares: Iterable[float], step: int) -> tuple[int, ...]:
    """Whole steps, from the most on, each once."""
    fewer = {max(step, math.ceil(share * whole / step) * step) for share in shares}
    return (whole, *sorted((each for each in fewer if each < whole), reverse=True))


def _step(model: Any, parts: Anatomy) -> int:
    """Groups of a ternary layer that share a scale stay whole."""
    groups = [layer.mode.group for name, layer in ternary_layers(model).items() if name.endswith(parts.down)]
    return math.lcm(_UNITS, *(group for group in groups if group))
