"""nanochat's model and optimiser, for comparison: run from a checkout of one's own, never a part of this package.

For experiments of more than one phase, and for nothing else.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.kit.errors import MissingTool
from agentforge.models import TitanConfig

VARIABLE = "AGENTFORGE_NANOCHAT"

LossOf = Callable[[Tensor], Tensor]
Model = tuple[nn.Module, LossOf]
"""A model, and its mean loss over all positions that have a next token."""


def as_it_is(shape: TitanConfig, length: int) -> Model:
    """nanochat's own choices at Titan's width, layers, heads and vocabulary; full attention."""
    gpt = _module()
    config = gpt.GPTConfig(
        sequence_len=length, vocab_size=shape.vocab_size, n_layer=shape.num_hidden_layers, n_embd=shape.hidden_size,
        n_head=shape.num_attention_heads, n_kv_head=shape.num_attention_heads, window_pattern="L",
    )  # fmt: skip
    model = gpt.GPT(config)
    model.init_weights()
    return model.train(), lambda ids_BT: model(ids_BT, F.pad(ids_BT[:, 1:], (0, 1), value=-1))


def equal(shape: TitanConfig, length: int) -> Model:
    """The same with as many parameters as Titan: tied head, no value embeddings, an MLP of as many weights."""
    made, loss_of = as_it_is(shape, length)
    model: Any = made
    model.lm_head.weight = model.transformer.wte.weight
    model.value_embeds = nn.ModuleDict()
    width = 3 * shape.intermediate_size // 2  # two matrices where SwiGLU has three
    for block in model.transformer.h:
        block.attn.ve_gate = None
        linear = type(block.mlp.c_fc)
        block.mlp.c_fc = linear(shape.hidden_size, width, bias=False)
        block.mlp.c_proj = linear(width, shape.hidden_size, bias=False)
    return model, loss_of


def optimiser(model: nn.Module) -> Any:
    """nanochat's own, with its own rates. A head that is tied to the embeddings is stepped as embeddings."""
    gpt: Any = model
    tied, embeddings = gpt.lm_head.weight, gpt.transformer.wte.weight
    if tied is embeddings:
        gpt.lm_head.weight = nn.Parameter(tied.detach().clone())  # it counts parameters, each once
    made = gpt.setup_optimizer()
    gpt.lm_head.weight = tied
    own = {id(parameter) for parameter in model.parameters()}
    made.param_groups = [group for group in made.param_groups if _all_of(group, own)]
    return made


def _all_of(group: dict[str, Any], own: set[int]) -> bool:
    return bool(group["params"]) and all(id(parameter) in own for parameter in group["params"])


def _module() -> Any:
    """nanochat/gpt.py of the checkout."""
    checkout = os.environ.get(VARIABLE, "")
    if not (Path(checkout) / "nanochat" / "gpt.py").is_file():
        message = f"{VARIABLE} = {checkout!r} names no checkout of nanochat"
        step = (
            f"Clone karpathy/nanochat from GitHub, set {VARIABLE} to its directory and measure again "
            "(it imports the package filelock)."
        )
        raise MissingTool(message, field=VARIABLE, next_step=step)
    if checkout not in sys.path:
        sys.path.append(checkout)
    return importlib.import_module("nanochat.gpt")
