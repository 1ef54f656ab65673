"""A linear layer that holds its weights in 2 bits each. It computes what its BitLinear does, to the bit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.models.ternary.linear import BitLinear, Mode, finished, rms
from agentforge.models.ternary.quantise import absmax_int8, per_weight
from agentforge.models.ternary.trits import pack_2bit, unpack_2bit


class PackedLinear(nn.Module):
    """Unpacks at every call: small, not fast. `kernels.use_kernels` puts what is fast in its place."""

    def __init__(self, code_OI: Tensor, scale_AG: Tensor, bias: Tensor | None, mode: Mode) -> None:
        super().__init__()
        self.out_features, self.in_features = code_OI.shape
        self.mode = mode
        self.packed: Tensor
        self.scale_AG: Tensor
        self.register_buffer("packed", pack_2bit(code_OI))
        self.register_buffer("scale_AG", scale_AG)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    @classmethod
    def of(cls, layer: BitLinear) -> PackedLinear:
        return cls(layer.codes(), layer.scales(), layer.bias, layer.mode)

    def codes(self) -> Tensor:
        """[O, I], int8."""
        return unpack_2bit(self.packed, self.out_features)

    def scales(self) -> Tensor:
        """[A, G], float32."""
        return self.scale_AG

    def forward(self, input: Tensor) -> Tensor:
        x = rms(input) if self.mode.norm else input
        code_x, scale_x = absmax_int8(x)
        wide = torch.promote_types(x.dtype, torch.float32)
        if self.mode.scale == "group":
            w_OI = self.codes() * per_weight(self.scale_AG, self.in_features)
            y = F.linear(code_x.to(wide), w_OI.to(wide))
        else:
            y = F.linear(code_x.to(wide), self.codes().to(wide)) * self.scale_AG[:, 0]
        return finished(y, scale_x, self.bias).to(input.dtype)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, {self.mode}"
