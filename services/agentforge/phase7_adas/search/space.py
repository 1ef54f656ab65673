"""The genes that a model has, and the choices of each. The first choice is the model as it came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase7_adas.configs.search import SpaceConfig
from agentforge.shrink.anatomy import ATTENTION, EMBEDDINGS, MEMORY, MLP, Anatomy, anatomy, matrices
from agentforge.shrink.asking import Genes
from agentforge.shrink.importance import Importance
from agentforge.shrink.slim import Cut

LAYERS, WIDTH, STEPS, SLOTS, SPARSITY = "layers", "mlp_units", "act_steps", "memory_slots", "sparsity"
BITS = "bits."  # before a group of plain matrices
DENSE, TWO_OF_FOUR, AS_IT_CAME = "none", "2:4", 0
ARCHITECTURE = (LAYERS, WIDTH, STEPS, SLOTS)  # what a decode step's time depends on here
_UNITS = 8  # MLP units come in eights, so that rows fill vectors


@dataclass(frozen=True)
class Space:
    choices: Mapping[str, tuple[int | str, ...]]  # by gene: two or more
    absent: Mapping[str, str]  # a gene that was asked for, and why the model has none

    @property
    def unsearched(self) -> Genes:
        return {gene: values[0] for gene, values in self.choices.items()}

    @property
    def size(self) -> int:
        return math.prod(len(values) for values in self.choices.values())


def space_of(model: Any, config: SpaceConfig) -> Space:
    parts = anatomy(model)
    found: dict[str, tuple[int | str, ...]] = {}
    absent = {"heads": _why_no_heads(parts)}
    found[LAYERS] = tuple(range(parts.layers, max(1, math.ceil(config.layers * parts.layers)) - 1, -1))
    found[WIDTH] = _shares(parts.width, config.mlp, _step(model, parts))
    if parts.titan and config.act_steps and model.config.act:
        found[STEPS] = tuple(range(model.config.act_steps_infer, 0, -1))
    else:
        absent[STEPS] = "the model has no halting steps" if config.act_steps else "not asked for"
    if parts.titan and model.config.memory:
        found[SLOTS] = _shares(model.config.memory_slots, config.memory_slots, model.config.memory_chunk)
    else:
        absent[SLOTS] = "the model has no long-term memory"
    groups = matrices(model, parts)
    for group in (EMBEDDINGS, ATTENTION, MLP, MEMORY):
        if group in groups:
            fewer = {bits for bits in config.bits if bits < 8 * model.dtype.itemsize}
            found[f"{BITS}{group}"] = (AS_IT_CAME, *sorted(fewer, reverse=True))
        else:
            absent[f"{BITS}{group}"] = "there is none" if group == MEMORY else "it is ternary"
    plain = [name for group, names in groups.items() if group != EMBEDDINGS for name in names]
    if plain:
        odd = any(model.get_parameter(name).shape[1] % 4 for name in plain)
        found[SPARSITY] = (DENSE, *(each for each in config.sparsity if not (odd and each == TWO_OF_FOUR)))
    else:
        absent[SPARSITY] = "all its layers are ternary: their zeros cost 2 bits as all else"
    return Space({gene: values for gene, values in found.items() if len(values) > 1}, absent)


def cut_of(genes: Genes, parts: Anatomy, importance: Importance) -> Cut:
    layers = importance.best_layers(int(genes.get(LAYERS, parts.layers)))
    width = int(genes.get(WIDTH, parts.width))
    units = {layer: importance.best_units(layer, width) for layer in layers}
    steps, slots = genes.get(STEPS), genes.get(SLOTS)
    return Cut(layers, units, None if steps is None else int(steps), None if slots is None else int(slots))


def sparsity_of(genes: Genes) -> str:
    return str(genes.get(SPARSITY, DENSE))


def bits_of(genes: Genes, group: str | None) -> int:
    return int(genes.get(f"{BITS}{group}", AS_IT_CAME))


def architecture(genes: Genes) -> Genes:
    return {gene: value for gene, value in genes.items() if gene in ARCHITECTURE}


def _shares(whole: int, shares: Iterable[float], step: int) -> tuple[int, ...]:
    """Whole steps, from the most on, each once."""
    fewer = {max(step, math.ceil(share * whole / step) * step) for share in shares}
    return (whole, *sorted((each for each in fewer if each < whole), reverse=True))


def _step(model: Any, parts: Anatomy) -> int:
    """Groups of a ternary layer that share a scale stay whole."""
    groups = [layer.mode.group for name, layer in ternary_layers(model).items() if name.endswith(parts.down)]
    return math.lcm(_UNITS, *(group for group in groups if group))


def _why_no_heads(parts: Anatomy) -> str:
    if parts.titan:
        return "a TitanConfig has as many head sizes times heads as hidden_size: fewer heads cannot be expressed"
    return "heads of a Llama are not slimmed"
