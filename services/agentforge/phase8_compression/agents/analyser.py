"""ModelAnalyzer: what a model consists of, and how few bytes its ternary codes could take at best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import ternary_layers
from agentforge.shrink.anatomy import anatomy, matrices
from agentforge.train.state import own_tensors

REST = "rest"
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Part:
    """`entropy_bits`: of a ternary code, order 0; None where nothing of the part is ternary."""

    parameters: int
    float32_bytes: int
    ternary: int  # parameters that are codes
    zeros: int
    entropy_bits: float | None


@dataclass(frozen=True)
class Analysis:
    parts: Mapping[str, Part]

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.parts.values())

    @property
    def float32_bytes(self) -> int:
        return sum(part.float32_bytes for part in self.parts.values())

    @property
    def record(self) -> dict[str, Any]:
        return {name: asdict(part) for name, part in self.parts.items()}

    @property
    def measured(self) -> list[Measurement]:
        method, n = "counted from the tensors, each once however many names it has", self.parameters
        found = [Measurement("compression/input/parameters", float(n), "1", method, n)]
        for name, part in self.parts.items():
            share = part.parameters / n
            found.append(Measurement(f"compression/input/share/{name}", share, "1", method, part.parameters))
            if part.entropy_bits is not None:
                how = f"order-0 entropy of {part.ternary:,} ternary codes"
                found.append(
                    Measurement(f"compression/input/code_bits/{name}", part.entropy_bits, "bit", how, part.ternary)
                )
        return found


def analyse(model: Any) -> Analysis:
    """Tensors that are saved: parameters and buffers."""
    parts = anatomy(model)
    plain = {name: group for group, names in matrices(model, parts).items() for name in names}
    codes = {f"{name}.weight": layer.codes() for name, layer in ternary_layers(model).items()}
    groups: dict[str, list[tuple[Tensor, Tensor | None]]] = {}
    for name, tensor in own_tensors(model).items():
        group = plain.get(name) or (parts.group(name) if name in codes else None) or REST
        groups.setdefault(group, []).append((tensor, codes.get(name)))
    return Analysis({group: _part(groups[group]) for group in sorted(groups)})


def _part(tensors: list[tuple[Tensor, Tensor | None]]) -> Part:
    count = sum(tensor.numel() for tensor, _ in tensors)
    codes = [code.flatten() for _, code in tensors if code is not None]
    used = [tensor if code is None else code for tensor, code in tensors]
    zeros = sum(int((each == 0).sum()) for each in used)
    ternary = sum(code.numel() for code in codes)
    return Part(count, _FLOAT_BYTES * count, ternary, zeros, _entropy(torch.cat(codes)) if codes else None)


def _entropy(code_N: Tensor) -> float:
    share = torch.bincount(code_N.long() + 1, minlength=3).double() / len(code_N)
    share = share[share > 0]
    return float(-(share * share.log2()).sum())
