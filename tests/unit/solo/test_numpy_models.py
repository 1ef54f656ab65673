"""numpy's logits are PyTorch's, in pieces, past the window, with an overflowing memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from agentforge.codecs.model import compressed
from agentforge.codecs.payload import Broken
from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.device.runtime.state import State
from agentforge.edge.device.solo.agent import BACKENDS
from agentforge.edge.device.solo.weights import Weights
from agentforge.edge.graph.export import edge_module
from agentforge.edge.solo.models import check_model
from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import Mode
from tests import pico

CLOSE = 1e-5  # of the largest logit
ALL = {
    "num_hidden_layers": 2, "memory": True, "memory_layers": [1], "memory_slots": 24, "memory_chunk": 8,
    "memory_init_slots": 3, "persistent_tokens": 3, "recursion": True, "recursion_cycles": 2,
    "act_steps_train": 3, "act_steps_infer": 3, "sliding_window": 16,
}  # fmt: skip
TITANS: dict[str, dict[str, Any]] = {
    "plain": {"act": False, "tie_word_embeddings": False},
    "act": {"act_steps_train": 4, "act_steps_infer": 3, "act_threshold": 0.6},
    "all": ALL,
    "fifo": {**ALL, "memory_write": "fifo", "memory_momentum": False, "memory_decay": False, "recursion": False},
    "recursion alone": {"act": False, "recursion": True, "recursion_inner": 2, "sliding_window": None},
}
PIECES = (5, 1, 1, 40, 1, 1, 33, 1)  # of tokens: past every window, and more than the slots hold
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip


def engine(model: Any) -> Engine:
    weights = Weights(compressed(model, {}))
    backend = BACKENDS[model.config.model_type](weights, model.config.to_dict())
    assert weights.left() == []
    graph = backend.graph(1, None)
    facts = edge_module(model).facts.record
    assert {**graph._asdict(), "eos": None, "format": 1, "memory": graph.memory and graph.memory._asdict()} == facts
    return Engine(backend, graph)


def worst(model: Any, pieces: Sequence[int]) -> float:
    """The farthest logit after any piece, in the largest one's share."""
    import torch

    model.eval()
    ids = np.random.default_rng(0).integers(0, model.config.vocab_size, sum(pieces))
    with torch.no_grad():
        expected_TV = model(input_ids=torch.from_numpy(ids[None])).logits[0].numpy()
    own, away, at = engine(model), 0.0, 0
    state = State(own.graph)
    for size in pieces:
        logits_V = own.feed(state, [ids[at : at + size].tolist()])[0]
        at += size
        away = max(away, float(np.abs(logits_V - expected_TV[at - 1]).max()))
    return away / float(np.abs(expected_TV).max())


@pytest.mark.parametrize("fields", TITANS.values(), ids=TITANS.keys())
def test_titan(fields: dict[str, Any]) -> None:
    assert worst(pico.with_noise(pico.titan(**fields), 1), PIECES) < CLOSE


MODES = [Mode(), Mode(scale="channel", fit="survivors"), Mode(scale="group", group=8, norm=True)]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.scale)
def test_ternary_titan(mode: Mode) -> None:
    """Sums of codes are exact; but floats before them may round an activation the other way: a step of 1/127 of its
    token's largest. Here none does so, and 1e-5 holds; 0.02 is what one may do."""
    model = pico.with_noise(pico.titan(**ALL), 1)
    convert(model, mode=mode)
    assert worst(model, PIECES) < 0.02


def test_a_ternary_layer_is_pytorchs_to_the_bit() -> None:
    import torch

    model = pico.titan()
    convert(model)
    layer = model.get_submodule("layers.0.mlp.gate")
    ours = Weights(compressed(model, {})).linear("layers.0.mlp.gate", 64, 32)
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(ours(x.numpy()), layer(x).detach().numpy())


LLAMAS: dict[str, dict[str, Any]] = {
    "shared keys": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "biases, slow turns": {
        "num_attention_heads": 4, "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True,
        "rope_parameters": LLAMA3, "tie_word_embeddings": False,
    },
}  # fmt: skip


@pytest.mark.parametrize("fields", LLAMAS.values(), ids=LLAMAS.keys())
def test_llama(fields: dict[str, Any]) -> None:
    assert worst(pico.with_noise(pico.llama(**fields), 1), (5, 1, 30, 1)) < CLOSE


def test_rows_of_other_lengths_do_not_meet() -> None:
    model = pico.with_noise(pico.titan(**ALL), 1).eval()
    own = engine(model)
    rows = [[5, 6, 7], [9] * 30]
    together = own.feed(State(own.graph, 2), rows)
    for row, ids in enumerate(rows):
        alone_V = own.feed(State(own.graph), [ids])[0]
        assert np.abs(together[row] - alone_V).max() < CLOSE * np.abs(alone_V).max()


def test_weights_that_do_not_fit_are_told() -> None:
    model = pico.titan()
    payloads, config = compressed(model, {}), model.config.to_dict()
    with pytest.raises(Broken, match=r"embed_tokens.weight has the shape \(280, 32\), and the config asks"):
        BACKENDS["agentforge_titan"](Weights(payloads), {**config, "vocab_size": 281})
    del payloads["layers.0.mlp.up.weight"]
    with pytest.raises(Broken, match=r"layers.0.mlp.up.weight is missing"):
        BACKENDS["agentforge_titan"](Weights(payloads), config)


UNKNOWN: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "mamba"}, "model_type 'mamba'"),
    ({"model_type": "llama", "hidden_act": "gelu"}, "hidden_act 'gelu'"),
    ({"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type 'linear'"),
    ({"model_type": "agentforge_titan", "memory": True, "memory_write": "random"}, "memory_write 'random'"),
]


@pytest.mark.parametrize(("config", "words"), UNKNOWN, ids=[words for _, words in UNKNOWN])
def test_other_models_are_refused_by_name(config: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        check_model(config)
