"""A model of Llama's kind without some of its attention heads: rows of q, k and v, and columns of o, are cut away.

Its config stays one that transformers knows: all layers have as many heads, all key-value heads as many of them;
the size of a head is said apart. A Titan's heads are its width divided by their number, so none can be left out.
Ternary layers keep their modes; one scale for a whole matrix is then the mean size of what is left of it.

Shapes: H heads, G key-value heads, K head size, D hidden size.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.errors import InvalidInput
from agentforge.models import TitanForCausalLM
from agentforge.models.ternary.convert import check_groups, swap
from agentforge.models.ternary.linear import BitLinear, ternary_layers
from agentforge.models.ternary.quantise import per_weight
from agentforge.shrink.anatomy import anatomy
from agentforge.shrink.grams import grams
from agentforge.train.state import own_tensors, put_tensors

Kept = Mapping[int, Sequence[int]]
"""Of each layer, the heads that stay, by their old numbers."""


@dataclass(frozen=True)
class Heads:
    layers: int
    heads: int
    pairs: int  # key-value heads, each of which serves as many heads
    size: int

    @property
    def each(self) -> int:
        """Heads that share one key-value head."""
        return self.heads // self.pairs


@torch.no_grad()
def without_heads(model: Any, kept: Kept | int) -> Any:
    """A model of its own. A number keeps so many in each layer: those that can add most, by their weights alone."""
    told = heads_of(model)
    kept = best_heads(model, weight_norms(model), kept) if isinstance(kept, int) else kept
    count, pairs = _counts(told, kept)
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn and thrown away
        small = type(model)(_config(model.config, told, count, pairs))
    small.generation_config = copy.deepcopy(model.generation_config)
    small.to(dtype=model.dtype, device=model.device)
    for name, layer in ternary_layers(model).items():
        plain = small.get_submodule(name)
        check_groups({name: plain}, layer.mode)
        swap(small, name, plain, layer.mode)
    left = {name: _sliced(name, tensor, model, told, kept) for name, tensor in own_tensors(model).items()}
    put_tensors(small, left)
    return small.eval()


def heads_of(model: Any) -> Heads:
    parts, config = anatomy(model), model.config
    if isinstance(model, TitanForCausalLM):
        message = "a Titan's heads are its width divided by their number: it cannot be without some of them"
        step = "Leave out layers, MLP units, halting steps or memory slots instead."
        raise InvalidInput(message, reason="NOT_SLIMMABLE", field="layers.0.attention", next_step=step)
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    found = Heads(parts.layers, heads, getattr(config, "num_key_value_heads", None) or heads, size)
    wanted = {"q_proj": heads, "k_proj": found.pairs, "v_proj": found.pairs}
    modules = dict(model.named_modules())
    for layer in range(parts.layers):
        for part, count in [*wanted.items(), ("o_proj", 0)]:
            name = f"{parts.layer(layer)}self_attn.{part}"
            if name not in modules or (count and modules[name].out_features != count * size):
                message = f"a {type(model).__name__} cannot be without heads: {name} is not as Llama has it"
                raise InvalidInput(
                    message, reason="NOT_SLIMMABLE", field=name, next_step="Leave out layers instead."
                )
    return found


@torch.no_grad()
def weight_norms(model: Any) -> list[list[float]]:
    """Of each layer and head, the norm of what it makes of values: of o times v. Needs no data."""
    told, found = heads_of(model), []
    for layer in range(told.layers):
        v_GKD = _weight(model, layer, "v_proj").view(told.pairs, told.size, -1)
        o_DHK = _weight(model, layer, "o_proj").view(-1, told.heads, told.size)
        found.append([float((o_DHK[:, h] @ v_GKD[h // told.each]).norm()) for h in range(told.heads)])
    return found


@torch.no_grad()
def added_norms(model: Any, codec: Codec, items: Sequence[Item], *, batch: int) -> list[list[float]]:
    """Of each layer and head, the root mean square of what it adds to the hidden state, over the items' tokens."""
    told, parts = heads_of(model), anatomy(model)
    names = [f"{parts.layer(layer)}self_attn.o_proj.weight" for layer in range(told.layers)]
    heard, found = grams(model, codec, items, names, batch=batch), []
    for layer, name in enumerate(names):
        gram_II = torch.from_numpy(heard[name])
        o_DHK = _weight(model, layer, "o_proj").cpu().view(-1, told.heads, told.size)
        own = [slice(h * told.size, (h + 1) * told.size) for h in range(told.heads)]
        found.append([float((o_DHK[:, h] @ gram_II[s, s] * o_DHK[:, h]).sum()) ** 0.5 for h, s in enumerate(own)])
    return found


def best_heads(model: Any, norms: Sequence[Sequence[float]], count: int) -> dict[int, tuple[int, ...]]:
    """Where whole key-value heads can go, with all heads that they serve, these go; else as many of each one's."""
    told = heads_of(model)
    if not 0 < count <= told.heads or (count % told.each and count % told.pairs):
        fitting = [n for n in range(1, told.heads + 1) if not (n % told.each and n % told.pairs)]
        message = f"{count} of {told.heads} heads cannot be shared by {told.pairs} key-value heads"
        raise InvalidInput(
            message, reason="OUT_OF_RANGE", field="kept", next_step=f"Keep one of {', '.join(map(str, fitting))}."
        )
    return {layer: _best(norms[layer], told, count) for layer in range(told.layers)}


def _best(norms: Sequence[float], told: Heads, count: int) -> tuple[int, ...]:
    served = [range(pair * told.each, (pair + 1) * told.each) for pair in range(told.pairs)]
    if count % told.each == 0:
        by_size = sorted(served, key=lambda heads: (-sum(norms[h] ** 2 for h in heads), heads[0]))
        return tuple(sorted(h for heads in by_size[: count // told.each] for h in heads))
    per_pair = count // told.pairs
    return tuple(h for heads in served for h in sorted(sorted(heads, key=lambda h: (-norms[h], h))[:per_pair]))


def _counts(told: Heads, kept: Kept) -> tuple[int, int]:
    """Heads and key-value heads of each layer that is left."""
    shapes = set()
    for layer in range(told.layers):
        heads = sorted(set(kept.get(layer, ())))
        served = Counter(h // told.each for h in heads)
        if not heads or heads[0] < 0 or heads[-1] >= told.heads or len(set(served.values())) != 1:
            message = f"layer {layer} cannot keep heads {heads} of {told.heads} with {told.pairs} key-value heads"
            step = f"Keep as many of each {told.each} that share a key-value head, or none of them."
            raise InvalidInput(message, reason="OUT_OF_RANGE", field=f"kept.{layer}", next_step=step)
        shapes.add((len(heads), len(served)))
    if len(shapes) > 1:
        message = f"layers would have different heads (heads, key-value heads): {sorted(shapes)}"
        raise InvalidInput(message, reason="OUT_OF_RANGE", field="kept", next_step="Keep as many in every layer.")
    return shapes.pop()


def _config(config: Any, told: Heads, count: int, pairs: int) -> Any:
    small = copy.deepcopy(config)
    small.num_attention_heads, small.num_key_value_heads, small.head_dim = count, pairs, told.size
    try:
        return type(config)(**small.to_dict())  # as it will be read from its file
    except (ValueError, StrictDataclassError) as error:
        message = f"a {type(config).__name__} of {count} heads is not allowed: {error}"
        step = f"Keep a number that divides {config.hidden_size}."
        raise InvalidInput(message, reason="OUT_OF_RANGE", field="kept", next_step=step) from error


def _sliced(name: str, tensor: Tensor, model: Any, told: Heads, kept: Kept) -> Tensor:
    layer = anatomy(model).number(name)
    part = name.split(".")[-2] if "." in name else ""
    if layer is None or part not in ("q_proj", "k_proj", "v_proj", "o_proj"):
        return tensor
    heads = sorted(set(kept[layer]))
    if part in ("k_proj", "v_proj"):
        heads = sorted({h // told.each for h in heads})
    places = [h * told.size + k for h in heads for k in range(told.size)]
    if part == "o_proj":
        return tensor[:, places] if tensor.dim() == 2 else tensor  # its bias belongs to no head
    return tensor[places]


def _weight(model: Any, layer: int, part: str) -> Tensor:
    """As it is used, float64."""
    found = model.get_submodule(f"{anatomy(model).layer(layer)}self_attn.{part}")
    if isinstance(found, BitLinear):
        codes, scales = found.quantised()
        return (codes * per_weight(scales, found.in_features)).double()
    weight: Tensor = found.weight.detach().double()
    return weight
