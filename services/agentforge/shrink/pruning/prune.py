"""Zeros in all projections of a model at once, chosen and made up for on the model as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.linear import BitLinear, ternary_layers
from agentforge.shrink.anatomy import EMBEDDINGS, anatomy, matrices
from agentforge.shrink.grams import grams
from agentforge.shrink.pruning.latents import zero_latents
from agentforge.shrink.pruning.scores import taylor, wanda
from agentforge.shrink.pruning.shares import check_fours, fraction, kept_of_matrix, kept_of_rows
from agentforge.shrink.pruning.sparsegpt import sparsegpt

WAYS = ("magnitude", "wanda", "gradient", "sparsegpt")
FOR_LATENTS = ("magnitude", "wanda")  # the others are about weights that can take any value


def prune(
    model: Any, way: str, share: str, *, codec: Codec, items: Sequence[Item], batch: int
) -> dict[str, Tensor]:
    """Where each weight was kept, for `masks.Zeros`; in place. `share`: of each matrix, as "0.5", or "2:4".

    All layers' inputs are those of the unpruned model: a Titan passes its layers several times, so that none is
    first. Embeddings, gates and routers stay as they are. Of a ternary layer the latents become zero, and so their
    codes (see `latents`). Nothing is changed where something does not fit.
    """
    names = prunable(model)
    _check(model, names, way, share)
    sizes = taylor(model, codec, items, names) if way == "gradient" else {}
    heard = grams(model, codec, items, names, batch=batch) if way in ("wanda", "sparsegpt") else {}
    masks = {}
    for name in names:
        weight_OI = model.get_parameter(name).detach()
        if way == "sparsegpt":
            left_OI, masks[name] = sparsegpt(weight_OI, heard[name], share)
            weight_OI.copy_(left_OI)
            continue
        if way == "wanda":
            masks[name] = kept_of_rows(wanda(weight_OI, heard[name]), share)
        else:
            masks[name] = kept_of_matrix(sizes.get(name, weight_OI.abs()), share)
        _cut(_layer(model, name), masks[name])
    return masks


def _cut(layer: nn.Linear, kept_OI: Tensor) -> None:
    if isinstance(layer, BitLinear):
        zero_latents(layer, kept_OI)
    else:
        layer.weight.detach().mul_(kept_OI)


def prunable(model: Any) -> list[str]:
    groups = matrices(model, anatomy(model))
    plain = [name for group, names in groups.items() if group != EMBEDDINGS for name in names]
    return sorted([*plain, *(f"{name}.weight" for name in ternary_layers(model))])


def _check(model: Any, names: Sequence[str], way: str, share: str) -> None:
    if way not in WAYS:
        message = f"no way of pruning is called {way!r}"
        raise InvalidInput(message, reason="OUT_OF_RANGE", field="way", next_step=f"Say one of {', '.join(WAYS)}.")
    fraction(share)
    for name in names:
        check_fours(name, model.get_parameter(name), share)
    ternary = next((name for name in names if isinstance(_layer(model, name), BitLinear)), None)
    if ternary is not None and way not in FOR_LATENTS:
        message = f"{ternary} is ternary, and {way} is about weights that can take any value"
        step = f"Take one of {', '.join(FOR_LATENTS)}."
        raise InvalidInput(message, reason="NOT_PRUNABLE", field=ternary, next_step=step)


def _layer(model: Any, name: str) -> Any:
    return model.get_submodule(name.removesuffix(".weight"))
