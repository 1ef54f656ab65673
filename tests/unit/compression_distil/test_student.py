"""New models by a teacher's measure."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from agentforge.kit.errors import InvalidInput
from agentforge.models import TitanForCausalLM
from agentforge.models.ternary.convert import convert, projections
from agentforge.models.ternary.linear import Mode, ternary_layers
from agentforge.phase8_compression.distil.shape import gguf_types
from agentforge.phase8_compression.distil.student import student_of
from agentforge.phase8_compression.vocabulary.trim import trimmed
from agentforge.train.state import own_tensors
from tests import pico


def _titan() -> Any:
    return pico.titan(
        num_hidden_layers=4, memory=True, memory_layers=[1, 2], memory_chunk=8, memory_slots=32, recursion=True,
        eos_token_id=1,
    )  # fmt: skip


def test_every_second_layer_and_all_else_is_inherited() -> None:
    teacher = _titan()
    student = student_of(teacher, layers=2, seed=0)
    ours, theirs = own_tensors(student), own_tensors(teacher)
    assert student.config.memory_layers == [0], "layer 1 of the teacher has a memory, layer 3 has none"
    for name, tensor in ours.items():
        there = name.replace("layers.1.", "layers.3.").replace("layers.0.", "layers.1.")
        assert torch.equal(tensor, theirs[there])
        assert tensor.data_ptr() != theirs[there].data_ptr()
    ids_BT = torch.arange(30, 40)[None]
    assert not torch.equal(student(ids_BT).logits, teacher.eval()(ids_BT).logits)
    whole = student_of(teacher, seed=0)
    assert torch.equal(whole(ids_BT).logits, teacher(ids_BT).logits)


def test_other_widths_begin_anew_by_the_seed_alone() -> None:
    one, same, other = (student_of(_titan(), hidden=48, heads=4, seed=seed) for seed in (0, 0, 1))
    first, again, third = map(own_tensors, (one, same, other))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.mlp.up.weight"], third["layers.0.mlp.up.weight"])
    assert one.embed_tokens.weight.std().item() == pytest.approx(
        _titan().embed_tokens.weight.std().item(), rel=1e-4
    )
    state = torch.get_rng_state()
    student_of(_titan(), hidden=48, heads=4, seed=2)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("teacher", "kind", "made"),
    [
        (_titan, "llama", LlamaForCausalLM), (pico.llama, "titan", TitanForCausalLM),
        (pico.llama, "same", LlamaForCausalLM), (_titan, "titan", TitanForCausalLM),
    ],
)  # fmt: skip
def test_architectures(teacher: Any, kind: Any, made: type) -> None:
    given = teacher()
    student = student_of(given, kind=kind, hidden=64, layers=3, heads=2, intermediate=96, vocabulary=300, seed=0)
    config = student.config
    assert type(student) is made
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (64, 3, 2)
    assert (config.intermediate_size, config.vocab_size) == (96, 300)
    assert config.eos_token_id == given.config.eos_token_id
    ids_BT = torch.tensor([[299, 1, 2, 3]])
    assert student(ids_BT).logits.shape == (1, 4, 300)
    assert student(input_ids=ids_BT, labels=ids_BT).loss.isfinite()


def test_a_llama_fits_the_blocks_of_gguf() -> None:
    assert gguf_types(256, 512) == ["F16", "Q8_0", "Q4_0", "Q4_K_M", "Q2_K", "TQ2_0"]
    assert gguf_types(96, 256) == ["F16", "Q8_0", "Q4_0"]
    assert gguf_types(48, 256) == ["F16"]
    for field, told in {"hidden": {"hidden": 48}, "intermediate": {"intermediate": 80}}.items():
        with pytest.raises(InvalidInput, match="multiples of 32") as caught:
            student_of(_titan(), kind="llama", seed=0, **told)
        assert caught.value.field == field


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no multiple of twice its 3 heads"):
        student_of(_titan(), heads=3, seed=0)


def test_a_ternary_student_is_ternary_as_its_teacher_is() -> None:
    teacher = _titan()
    mode = Mode(scale="channel")
    convert(teacher, None, mode)
    student = student_of(teacher, layers=2, ternary=True, seed=0)
    layers = ternary_layers(student)
    assert sorted(layers) == sorted(projections(student))
    assert {layer.mode for layer in layers.values()} == {mode}
    theirs = ternary_layers(teacher)["layers.3.attention.qkv"]
    assert torch.equal(layers["layers.1.attention.qkv"].codes(), theirs.codes())
    fresh = student_of(pico.llama(), hidden=64, ternary=True, seed=0)
    assert sorted(ternary_layers(fresh)) == sorted(projections(fresh))
    assert len(ternary_layers(fresh)) == 14
    assert ternary_layers(fresh)["model.layers.0.mlp.up_proj"].codes().unique().tolist() == [-1, 0, 1]
    assert not ternary_layers(student_of(teacher, layers=2, seed=0))


def test_of_a_trimmed_teacher_the_embeddings_too_are_inherited() -> None:
    kept = [*range(24), *range(30, 280)]
    small = trimmed(_titan(), kept)
    student = student_of(small, layers=1, seed=0)
    assert torch.equal(student.embed_tokens.weight, small.embed_tokens.weight)
    assert student.config.vocab_size == len(kept)
