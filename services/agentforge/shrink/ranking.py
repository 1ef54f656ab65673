"""The importance of all parts of one model, from calibration items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.shrink.anatomy import anatomy
from agentforge.shrink.importance import Importance, loss_without, unit_norms
from agentforge.shrink.slim import Cut, slimmed


def importance_of(model: Any, codec: Codec, items: Sequence[Item], batch: int) -> Importance:
    parts = anatomy(model)
    units = unit_norms(model, codec, items, parts, batch)
    every = range(parts.layers)
    whole = {layer: units[layer].argsort().sort().values for layer in every}

    def without(gone: int) -> Any:
        layers = tuple(layer for layer in every if layer != gone)
        return slimmed(model, Cut(layers, {layer: whole[layer] for layer in layers}, None, None))

    return Importance(loss_without(model, codec, items, parts, without, batch), units)
