"""PruningAgent: fewer layers, MLP units and heads; then weights that are zero, and stay so while it heals."""

from __future__ import annotations

import copy
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.splits import Split
from agentforge.phase8_compression.recipe import DENSE, HEADS, LAYERS, WIDTH
from agentforge.phase8_compression.start import Start
from agentforge.shrink.anatomy import anatomy
from agentforge.shrink.asking import Genes
from agentforge.shrink.heads import without_heads
from agentforge.shrink.importance import Importance
from agentforge.shrink.masks import Zeros
from agentforge.shrink.pruning import prune
from agentforge.shrink.slim import Cut, slimmed


def cut(model: Any, genes: Genes, importance: Importance) -> Any:
    """A model of its own, to the bit the old one where nothing is cut."""
    parts = anatomy(model)
    if LAYERS in genes or WIDTH in genes:
        layers = importance.best_layers(int(genes.get(LAYERS, parts.layers)))
        width = int(genes.get(WIDTH, parts.width))
        units = {layer: importance.best_units(layer, width) for layer in layers}
        model = slimmed(model, Cut(layers, units, None, None))
    else:
        model = copy.deepcopy(model)
    return without_heads(model, int(genes[HEADS])) if HEADS in genes else model


def zeroed(start: Start, model: Any, codec: Codec, share: str) -> Zeros:
    """In place."""
    if share == DENSE:
        return Zeros(model, {})
    config = start.config
    items = start.items(Split.CALIBRATION, config.search.calibration)
    masks = prune(model, config.pruning.way, share, codec=codec, items=items, batch=config.evaluation.batch)
    return Zeros(model, masks)


def steps_to(share: str, stages: tuple[str, ...]) -> list[str]:
    """This share at once; or, where there are stages, every one on the way to it, each healed before the next."""
    return list(stages[: stages.index(share) + 1]) if stages else [share]
