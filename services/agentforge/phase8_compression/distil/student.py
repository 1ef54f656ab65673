"""A new, smaller model for a teacher: its shape, its first weights, and whether its layers are ternary."""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor

from agentforge.kit.rng import Rng
from agentforge.models import TitanForCausalLM
from agentforge.models.ternary.convert import convert, projections
from agentforge.models.ternary.linear import Mode, ternary_layers
from agentforge.phase8_compression.distil.shape import Shape, config_of
from agentforge.phase8_compression.distil.watching import counterpart
from agentforge.shrink.anatomy import anatomy
from agentforge.train.state import own_tensors

Kind = Literal["same", "titan", "llama"]


def student_of(
    teacher: Any, *, seed: int, kind: Kind = "same", hidden: int | None = None, layers: int | None = None,
    heads: int | None = None, intermediate: int | None = None, vocabulary: int | None = None,
    ternary: bool = False, inherit: bool = True,
) -> Any:  # fmt: skip
    """A model of its own; None: as the teacher has it.

    Where architecture, hidden size and heads are the teacher's, the student begins with every k-th of its layers,
    and with all other tensors that have the same shape, unless `inherit` is False. With a trimmed vocabulary, give
    the trimmed teacher: then its embeddings fit too. Everything else is drawn from `seed`.
    """
    parts, given = anatomy(teacher), teacher.config
    shape = Shape(
        hidden or given.hidden_size, layers or given.num_hidden_layers, heads or given.num_attention_heads,
        intermediate or given.intermediate_size, vocabulary or given.vocab_size,
    )  # fmt: skip
    taken = [counterpart(layer, shape.layers, parts.layers) for layer in range(shape.layers)]
    student = _drawn(teacher, config_of(teacher, kind, shape, taken), seed)
    origins = _origins(student, teacher, taken) if inherit else {}
    with torch.no_grad():
        own, theirs = own_tensors(student), own_tensors(teacher)
        for name, origin in origins.items():
            own[name].copy_(theirs[origin])
    if ternary:
        modes = {name: layer.mode for name, layer in ternary_layers(teacher).items()}
        for name in projections(student):
            origin = origins.get(f"{name}.weight", "").removesuffix(".weight")
            convert(student, [name], modes.get(origin, Mode()))
    return student.eval()


def _drawn(teacher: Any, config: Any, seed: int) -> Any:
    from transformers import AutoModelForCausalLM

    build: Any = AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.manual_seed(Rng(seed, "distil/student").seed)
        student = build.from_config(config)
    student.generation_config = copy.deepcopy(teacher.generation_config)
    if isinstance(student, TitanForCausalLM):  # whose tied embeddings collapse where they begin too small
        with torch.no_grad():
            own = student.embed_tokens.weight
            own.mul_(teacher.get_input_embeddings().weight.std() / own.std())
    return student.to(dtype=teacher.dtype, device=teacher.device)


def _origins(student: Any, teacher: Any, taken: list[int]) -> dict[str, str]:
    """By a student's tensor: the teacher's that it begins with. None where states mean something else."""
    ours, theirs, parts = student.config, teacher.config, anatomy(teacher)
    same = type(student) is type(teacher) and all(
        getattr(ours, name, None) == getattr(theirs, name, None)
        for name in ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim")
    )
    found: dict[str, str] = {}
    if same:
        known: dict[str, Tensor] = own_tensors(teacher)
        for name, tensor in own_tensors(student).items():
            number = parts.number(name)
            there = name
            if number is not None:
                there = parts.layer(taken[number]) + name.removeprefix(parts.layer(number))
            if there in known and known[there].shape == tensor.shape:
                found[name] = there
    return found
