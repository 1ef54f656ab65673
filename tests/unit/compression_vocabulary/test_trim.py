"""Fewer rows, and the same logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase8_compression.vocabulary.trim import trimmed
from agentforge.train.loading import load_model
from agentforge.train.state import own_tensors
from tests import pico
from tests.unit.compression_vocabulary import toys

ROOM = {"vocab_size": toys.LARGE + 4}  # rows that no token has


def _models() -> dict[str, Any]:
    ids: Any = {"bos_token_id": 0, "eos_token_id": [1, 2], "pad_token_id": 2}
    ternary = pico.titan(**ROOM)
    convert(ternary)
    return {
        "titan": pico.titan(memory=True, memory_layers=[0], memory_chunk=8, memory_slots=32, **ROOM),
        "titan, untied": pico.titan(tie_word_embeddings=False, **ROOM),
        "ternary": ternary,
        "llama": pico.llama(**ROOM, **ids),
        "llama, untied": pico.llama(**ROOM, **ids, tie_word_embeddings=False),
    }


@pytest.mark.parametrize("name", _models())
@torch.no_grad()
def test_logits_of_kept_tokens_stay_to_the_bit(name: str) -> None:
    model, kept = _models()[name].eval(), torch.tensor(toys.small().kept)
    before = {key: tensor.clone() for key, tensor in own_tensors(model).items()}
    small = trimmed(model, toys.small().kept)
    ids_BT = torch.randint(0, toys.SMALL, (3, 20), generator=torch.Generator().manual_seed(0))
    assert torch.equal(small(ids_BT).logits, model(kept[ids_BT]).logits[..., kept])
    after, own = own_tensors(small), own_tensors(model)
    assert after.keys() == own.keys()
    assert all(torch.equal(before[key], own[key]) for key in own)
    rows = {key for key in after if after[key].shape != own[key].shape}
    assert rows == {key for key in after if "embed_tokens" in key or key.startswith("lm_head")}
    assert all(torch.equal(after[key], own[key]) for key in after.keys() - rows)
    assert (small.get_output_embeddings().weight is small.get_input_embeddings().weight) == ("untied" not in name)
    assert ternary_layers(small).keys() == ternary_layers(model).keys()


@pytest.mark.parametrize("name", ["titan", "llama", "llama, untied"])
@torch.no_grad()
def test_saved_and_loaded_with_its_tokenizer(name: str, tmp_path: Path) -> None:
    small = trimmed(_models()[name], toys.small().kept)
    loaded = load_model(pico.save(small, tmp_path, toys.small().tokenizer))
    ids_BT = torch.tensor([toys.small_codec().ids("return the object")])
    assert torch.equal(loaded.model(ids_BT).logits, small(ids_BT).logits)
    assert loaded.model.config.vocab_size == toys.SMALL
    assert loaded.model.generate(ids_BT, max_new_tokens=3, do_sample=False).max() < toys.SMALL


def test_special_ids_are_renumbered_or_missed() -> None:
    model = _models()["llama"]
    small = trimmed(model, [2, 1, 0, 30])
    assert (small.config.bos_token_id, small.config.eos_token_id, small.config.pad_token_id) == (2, [1, 0], 0)
    assert small.generation_config.bos_token_id == 2
    assert small.get_input_embeddings().padding_idx == 0
    assert model.config.bos_token_id == 0
    with pytest.raises(InvalidInput, match="bos_token_id is 0"):
        trimmed(model, [1, 2, 30])


@pytest.mark.parametrize("kept", [[], [0, 1, 1, 2], [0, 1, 2, 10_000]])
def test_tokens_that_are_not_there_are_refused(kept: list[int]) -> None:
    with pytest.raises(InvalidInput, match="the kept tokens hold"):
        trimmed(_models()["llama"], kept)
