"""Tiny tensors for the tests of merging."""

from collections.abc import Sequence

import torch
from torch import Tensor

from agentforge.phase2_evomerge.methods.base import Sources


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sources(*parents: Tensor, base: Tensor | None = None, name: str = "w", seed: int = 42) -> Sources:
    return Sources(name, parents, base, seed)


def close(tensor: Tensor, expected: Tensor | Sequence[float], atol: float = 1e-6) -> None:
    torch.testing.assert_close(tensor, torch.as_tensor(expected, dtype=torch.float32), atol=atol, rtol=1e-6)


def same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.contiguous().view(torch.int32), other.contiguous().view(torch.int32))
