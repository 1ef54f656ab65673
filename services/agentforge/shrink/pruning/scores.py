"""How much single weights matter: by size, by size and inputs, by what the loss says of them.

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.rows import IGNORED
from agentforge.models.ternary.linear import frozen


def wanda(w_OI: Tensor, gram_II: npt.NDArray[np.float64]) -> Tensor:
    """|w| times the norm of its input (arXiv 2306.11695); comparable within a row only."""
    norm_I = torch.from_numpy(np.sqrt(np.diagonal(gram_II))).to(w_OI.device)
    return w_OI.abs().double() * norm_I


def taylor(model: Any, codec: Codec, items: Sequence[Item], names: Sequence[str]) -> dict[str, Tensor]:
    """|w · g|, the first order of what the loss changes by where w becomes zero: the mean over items, float64.

    Items are taken one by one: of a trained model their sum is about zero. So no batch size matters either.
    """
    weights = {name: model.get_parameter(name) for name in names}
    sizes = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()}
    model.eval()
    with frozen(model):
        for item in items:
            gradients = torch.autograd.grad(_loss(model, codec, item), list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    sizes[name] += (weights[name].detach() * gradient).abs().double() / len(items)
    return sizes


def _loss(model: Any, codec: Codec, item: Item) -> Tensor:
    """Summed nats of what the model is to say."""
    ids, learned = codec.item_ids(item)
    ids_1T = torch.tensor([ids], device=model.device)
    labels_1T = ids_1T.masked_fill(~torch.tensor([learned], device=model.device), IGNORED)
    logits_TV = model(input_ids=ids_1T).logits[0, :-1].float()
    nats: Tensor = F.cross_entropy(logits_TV, labels_1T[0, 1:], ignore_index=IGNORED, reduction="sum")
    return nats
