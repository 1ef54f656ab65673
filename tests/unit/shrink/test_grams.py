"""What layers hear: real tokens only, of every pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.models import TitanForCausalLM
from agentforge.shrink.anatomy import EMBEDDINGS, anatomy, matrices
from agentforge.shrink.grams import grams
from tests import pico
from tests.unit.shrink.toys import codec, items

RECURSIVE = {
    "memory": True, "memory_layers": [0], "memory_chunk": 4, "memory_slots": 6, "recursion": True,
    "recursion_inner": 2, "recursion_cycles": 2, "persistent_tokens": 3, "act": True,
}  # fmt: skip


def titan() -> TitanForCausalLM:
    return pico.with_noise(pico.titan(**RECURSIVE), 1)


def one_by_one(model: Any, names: list[str]) -> dict[str, tuple[np.ndarray, int]]:
    """Of rows without any padding, each layer's sum and count; persistent tokens are those of no full row."""
    found = {name: (np.zeros(()), 0) for name in names}
    length = 0

    def hear(name: str, args: tuple[Any, ...]) -> None:
        x_TI = args[0].detach().double()[0].numpy()
        if not (name.endswith("qkv.weight") and len(x_TI) != length):
            total, count = found[name]
            found[name] = (total + x_TI.T @ x_TI, count + len(x_TI))

    modules = {name: model.get_submodule(name.removesuffix(".weight")) for name in names}
    hooks = [
        layer.register_forward_pre_hook(lambda _, args, name=name: hear(name, args))
        for name, layer in modules.items()
    ]
    for item in items():
        ids = codec().item_ids(item)[0]
        length = len(ids)
        with torch.no_grad():
            model(input_ids=torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("make", [titan, pico.llama])
def test_padding_does_not_count(make: Any) -> None:
    model = make().eval()
    groups = matrices(model, anatomy(model))
    names = [name for group, found in groups.items() if group != EMBEDDINGS for name in found]
    assert len({len(codec().item_ids(item)[0]) for item in items()}) > 1
    wanted = one_by_one(model, names)
    for batch in (1, 5):
        heard = grams(model, codec(), items(), names, batch=batch)
        for name, (total, count) in wanted.items():
            np.testing.assert_allclose(heard[name], total / count, rtol=2e-4, atol=1e-6, err_msg=name)


def test_all_passes_count() -> None:
    model = titan().eval()
    wanted = one_by_one(model, ["layers.0.mlp.gate.weight", "layers.0.memory.kv.weight"])
    passes = wanted["layers.0.mlp.gate.weight"][1] / wanted["layers.0.memory.kv.weight"][1]
    assert passes == model.config.act_steps_infer * 2 * 2  # and the memory is written in the first alone


def test_tied_embeddings_hear_what_the_head_hears() -> None:
    model = pico.llama().eval()
    heard = grams(model, codec(), items(), ["model.embed_tokens.weight"], batch=4)
    rows = [codec().item_ids(item)[0] for item in items()]
    with torch.no_grad():
        last = [model.model(input_ids=torch.tensor([row])).last_hidden_state[0].double() for row in rows]
    x_NI = torch.cat(last).numpy()
    np.testing.assert_allclose(heard["model.embed_tokens.weight"], x_NI.T @ x_NI / len(x_NI), rtol=1e-4, atol=1e-7)


def test_what_has_no_gram_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"model.embed_tokens.weight multiplies no inputs"):
        grams(pico.llama(tie_word_embeddings=False), codec(), items(), ["model.embed_tokens.weight"], batch=4)
    with pytest.raises(FailedPrecondition, match=r"halting.direct.weight"):  # its weight is used, but not by a call
        grams(titan(), codec(), items(), ["halting.direct.weight", "layers.0.mlp.up.weight"], batch=4)
    with pytest.raises(FailedPrecondition, match=r"heard no token"):
        grams(pico.llama(), codec(), [], ["model.layers.0.mlp.up_proj.weight"], batch=4)
