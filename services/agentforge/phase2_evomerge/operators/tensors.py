"""A model as its named tensors (`train.state.own_tensors`), and what is asked of them as one vector.

Only floating-point tensors are merged or mutated. Integer and boolean buffers are the first model's.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods import method
from agentforge.phase2_evomerge.methods.base import Sources, check_finite, unfinite
from agentforge.phase2_evomerge.methods.weights import CHUNK

Tensors = Mapping[str, Tensor]


def floats(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    """Those that are weights, by name."""
    return ((name, tensor) for name, tensor in sorted(tensors.items()) if tensor.is_floating_point())


def norm(tensors: Tensors) -> float:
    """Of all weights as one vector; in float64, and the same on any number of threads."""
    return math.sqrt(math.fsum(dot(tensor, tensor) for _, tensor in floats(tensors)))


def distance(one: Tensors, other: Tensors) -> float:
    """Norm of the difference of all weights."""
    check_alike((one, other))
    return math.sqrt(math.fsum(_squared_distance(tensor, other[name]) for name, tensor in floats(one)))


def merged(
    method_name: str, parents: Sequence[Tensors], base: Tensors | None, options: Any, seed: int
) -> dict[str, Tensor]:
    """A registered merge method, tensor by tensor. `options` None: the method's defaults."""
    chosen = method(method_name)
    if len(parents) < chosen.parents_min or (chosen.parents_max and len(parents) > chosen.parents_max):
        most = f" to {chosen.parents_max}" if chosen.parents_max else " or more"
        raise InvalidInput(
            f"{method_name} merges {chosen.parents_min}{most} models, and {len(parents)} were given",
            reason="PARENT_COUNT",
            field="parents",
        )
    check_alike(parents if base is None else (*parents, base))
    options = chosen.Options() if options is None else options
    child = {}
    for name, first in parents[0].items():
        copies = tuple(parent[name] for parent in parents)
        if not first.is_floating_point():
            child[name] = first.clone()
            continue
        check_finite(name, copies)
        child[name] = chosen.merge(Sources(name, copies, None if base is None else base[name], seed), options)
    return child


def check_alike(models: Sequence[Tensors]) -> None:
    """All have the same names, and under each name the same shape."""
    first = models[0]
    for number, model in enumerate(models[1:], start=2):
        differing = sorted(first.keys() ^ model.keys())
        if differing:
            raise _unlike(f"tensor {differing[0]!r} is in only one of models 1 and {number}", differing[0])
        for name, tensor in sorted(first.items()):
            if tensor.shape != model[name].shape:
                shapes = f"{tuple(tensor.shape)} in model 1 and {tuple(model[name].shape)} in model {number}"
                raise _unlike(f"tensor {name!r} is {shapes}", name)


def first_not_finite(tensors: Tensors) -> str | None:
    """The first name, in order, whose tensor holds NaN or Inf."""
    for name, tensor in floats(tensors):
        if unfinite(tensor):
            return name
    return None


def is_valid(tensors: Tensors) -> bool:
    return first_not_finite(tensors) is None


def digest(tensors: Tensors) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of names."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha256.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha256.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def dot(one: Tensor, other: Tensor) -> float:
    """In float64 and in pieces: no copy of a whole tensor, and one order of summation on any number of threads, as
    PyTorch sums a piece on one of them (BLAS, behind `Tensor.dot`, does not)."""
    one, other = one.reshape(-1), other.reshape(-1)
    return math.fsum(float((one[here].double() * other[here].double()).sum()) for here in pieces(one))


def pieces(tensor: Tensor) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, tensor.numel(), CHUNK))


def _squared_distance(one: Tensor, other: Tensor) -> float:
    one, other = one.reshape(-1), other.reshape(-1)
    return math.fsum(float((one[here].double() - other[here].double()).square().sum()) for here in pieces(one))


def _unlike(message: str, name: str) -> InvalidInput:
    step = "Merge models of one architecture, vocabulary included."
    return InvalidInput(message, reason="DIFFERENT_ARCHITECTURES", field=name, next_step=step)
