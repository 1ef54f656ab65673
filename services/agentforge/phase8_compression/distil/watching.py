"""What a model's layers give while it runs, and which layer of a student stands for which of its teacher."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from agentforge.shrink.anatomy import anatomy


def counterpart(layer: int, of: int, among: int) -> int:
    """Every k-th, the last of each stretch: so the last stands for the last."""
    return -(-(layer + 1) * among // of) - 1


def layers_of(model: Any) -> list[nn.Module]:
    parts = anatomy(model)
    return [model.get_submodule(parts.layer(number)[:-1]) for number in range(parts.layers)]


@contextmanager
def watched(model: Any, wanted: bool = True) -> Iterator[list[Tensor]]:
    """Each layer's hidden states [B, T, D], those of its last pass (a Titan passes them several times)."""
    layers = layers_of(model) if wanted else []
    found: dict[int, Tensor] = {}
    states: list[Tensor] = []

    def keeper(number: int) -> Any:
        def keep(_: nn.Module, __: Any, out: Any) -> None:
            found[number] = out[0] if isinstance(out, tuple) else out

        return keep

    hooks = [layer.register_forward_hook(keeper(number)) for number, layer in enumerate(layers)]
    try:
        yield states
        states += [found[number] for number in range(len(layers))]
    finally:
        for hook in hooks:
            hook.remove()
