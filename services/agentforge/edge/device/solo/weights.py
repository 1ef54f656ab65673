"""The tensors of model.forge by name, decoded when they are asked for. Shapes: O outputs, I inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....codecs.decode import decode
from ....codecs.decode.ternary import parts
from ....codecs.payload import Broken, Payload
from .linear import Linear, TernaryLinear


class Weights:
    """What is asked for is checked; `left` tells what nobody asked for."""

    def __init__(self, payloads: Mapping[str, Payload]) -> None:
        self._payloads = payloads
        self._asked: set[str] = set()
        self.rounds = False  # some layer rounds its inputs to 8 bits

    def __contains__(self, name: str) -> bool:
        return name in self._payloads

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        found = np.asarray(decode(self._payload(name, shape)), np.float32)
        if not np.isfinite(found).all():
            raise Broken(f"{name}: it has numbers that are not finite")
        return found

    def linear(self, name: str, outputs: int, inputs: int, bias: bool = False) -> Linear:
        payload = self._payload(name + ".weight", (outputs, inputs))
        bias_O = self.tensor(name + ".bias", outputs) if bias else None
        mode: dict[str, Any] | None = payload.settings.get("mode")
        if not mode:
            return Linear(self.tensor(name + ".weight", outputs, inputs), bias_O)
        if mode.get("strength", 1) != 1:
            raise Broken(f"{name}: it is a mixture of ternary and plain")
        self.rounds = True
        code_OI, scale_AG = parts(payload)
        if mode["scale"] == "group":
            wide_OI = np.repeat(scale_AG, inputs // scale_AG.shape[1], 1) * code_OI
            return TernaryLinear(wide_OI, None, bias_O, mode["norm"])
        scale_O = np.broadcast_to(scale_AG[:, 0], outputs)
        return TernaryLinear(code_OI, scale_O, bias_O, mode["norm"])

    def left(self) -> list[str]:
        return sorted(self._payloads.keys() - self._asked)

    def _payload(self, name: str, shape: tuple[int, ...]) -> Payload:
        if name not in self._payloads:
            raise Broken(f"{name} is missing in model.forge")
        payload = self._payloads[name]
        if tuple(payload.shape) != shape:
            raise Broken(f"{name} has the shape {tuple(payload.shape)}, and the config asks for {shape}")
        self._asked.add(name)
        return payload
