"""Training through the rounding of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentforge.codecs.decode import decode
from agentforge.codecs.encode.grid import encode_grid
from agentforge.codecs.spec import Setting, Spec
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.shrink.masks import all_but
from agentforge.shrink.qat import Rounded, rounded
from tests import pico
from tests.unit.shrink.toys import train

EMBEDDINGS = "model.embed_tokens.weight"


def spec(bits: int, group: int, **more: Setting) -> Spec:
    return Spec("grid", {"bits": bits, "group": group, "fit": "max", **more})


def stored(w: torch.Tensor, how: Spec) -> np.ndarray:
    return decode(encode_grid(w.detach().numpy(), how))


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-7, 1e3])  # float16 scales below 6e-5 have fewer digits
@pytest.mark.parametrize(("bits", "group"), [(2, 64), (3, 64), (4, 48), (8, 1000)])
def test_it_rounds_as_the_codec_does_and_once_is_enough(bits: int, group: int, size: float) -> None:
    w = Rng(0, "qat").numpy().standard_normal((200, 100)).astype(np.float32) * np.float32(size)
    w[3] = 0
    w[4, ::2] = -w[4, 1::2]  # the largest on both sides
    found = rounded(torch.from_numpy(w), bits, group)
    if size >= 1:
        assert np.array_equal(found.numpy(), stored(torch.from_numpy(w), spec(bits, group)))
    assert np.array_equal(found.numpy(), stored(found, spec(bits, group)))


@pytest.mark.parametrize("bits", [4, 3])
def test_what_was_trained_is_what_is_stored(bits: int) -> None:
    how = {EMBEDDINGS: spec(bits, 16), "model.layers.0.mlp.up_proj.weight": spec(bits, 20)}
    model = pico.llama()
    part = Rounded(model, how)
    before = {name: model.get_parameter(name).detach().clone() for name in how}
    training = train(model, 4, parts={"rounded": part})
    assert training.model is model
    for name, each in how.items():
        weight = model.get_parameter(name)
        assert np.array_equal(stored(weight, each), weight.detach().numpy())
        assert not torch.equal(weight, before[name])
        assert not torch.equal(part.tensors()[name], weight)  # latents go on between the steps of the grid
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_latents_take_the_step_of_the_rounded_weights_gradient() -> None:
    """As a straight-through estimator has it: one step of SGD, by hand."""
    model = pico.llama()
    latent = model.get_parameter(EMBEDDINGS).detach().clone()
    part = Rounded(model, {EMBEDDINGS: spec(2, 16)})
    weight = model.get_parameter(EMBEDDINGS)
    ids = torch.arange(12)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    part.before_step()
    assert torch.equal(weight, latent)
    torch.optim.SGD([weight], lr=0.5).step()
    part.after_step(0, 1.0)
    assert weight.grad is not None
    wanted = latent - 0.5 * weight.grad
    assert torch.equal(part.tensors()[EMBEDDINGS], wanted)
    assert torch.equal(weight, rounded(wanted, 2, 16))


def test_a_resumed_training_ends_with_the_same_bytes(tmp_path: Path) -> None:
    def make() -> tuple[Any, dict[str, Rounded]]:
        model = pico.llama()
        return model, {"rounded": Rounded(model, {EMBEDDINGS: spec(3, 16)})}

    whole, parts = make()
    training = train(whole, 2, parts=parts)
    training.save(tmp_path)
    saved = {name: tensor.clone() for name, tensor in parts["rounded"].tensors().items()}
    other, parts = make()
    training = train(other, 1, parts=parts)
    training.load(tmp_path)
    assert torch.equal(other.get_parameter(EMBEDDINGS), whole.get_parameter(EMBEDDINGS))
    assert torch.equal(parts["rounded"].tensors()[EMBEDDINGS], saved[EMBEDDINGS])


def test_cut_latents_stay_zero_and_set_no_scale() -> None:
    model = pico.llama()
    kept = ~all_but(model.get_parameter(EMBEDDINGS).detach().abs(), 0.9)  # all but the largest tenth
    train(model, 3, parts={"rounded": Rounded(model, {EMBEDDINGS: spec(3, 16)}, {EMBEDDINGS: kept})})
    weight = model.get_parameter(EMBEDDINGS).detach()
    assert not weight[~kept].any()
    assert np.array_equal(stored(weight, spec(3, 16)), weight.numpy())


@pytest.mark.parametrize("how", [spec(4, 64, zero=1), spec(4, 64, scale_bits=8), Spec("grid"), Spec("seedlm")])
def test_what_would_not_come_back_is_refused_by_name(how: Spec) -> None:
    with pytest.raises(InvalidInput, match=EMBEDDINGS):
        Rounded(pico.llama(), {EMBEDDINGS: how})
