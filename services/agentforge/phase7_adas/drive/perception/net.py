"""The camera's network: small, without anchors, one look at three scales. Only training and export import it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from agentforge.phase7_adas.drive.perception.targets import CHANNELS, CLASSES

WIDTHS = (8, 16, 32, 40)
"""Channels at a half, a quarter, an eighth and a sixteenth of the picture."""
RARE = -4.0
"""Bias of the heat before training: nearly every place has no body."""


def _conv(given: int, made: int, stride: int = 1, side: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, side, stride, side // 2), nn.ReLU())


class Net(nn.Module):
    """uint8 picture (B, 1, H, W), sides multiples of 16, to (B, CHANNELS, H/4, W/4); heat is a probability."""

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.stem = _conv(1, half, 2, 5)
        self.down = nn.ModuleList(_conv(given, made, 2) for given, made in pairwise(widths))
        self.near = _conv(quarter, quarter)
        self.middle = nn.Sequential(_conv(eighth, eighth), _conv(eighth, eighth))
        self.wide = _conv(sixteenth, sixteenth)
        self.to_middle = nn.Conv2d(sixteenth, eighth, 1)
        self.to_near = nn.Conv2d(eighth, quarter, 1)
        self.merge = _conv(eighth, eighth)
        self.last = _conv(quarter, quarter)
        self.head = nn.Conv2d(quarter, CHANNELS, 1)
        with torch.no_grad():
            self.head.bias[: len(CLASSES)] = RARE  # type: ignore[index]

    def raw(self, picture: Tensor) -> Tensor:
        """As forward, but heat as logits."""
        seen = picture.float()
        seen = seen - seen.mean(dim=(2, 3), keepdim=True)
        seen = seen / ((seen * seen).mean(dim=(2, 3), keepdim=True).sqrt() + 4.0)
        near = self.down[0](self.stem(seen))
        near = near + self.near(near)
        middle = self.middle(self.down[1](near))
        wide = self.wide(self.down[2](middle))
        middle = middle + functional.interpolate(self.to_middle(wide), scale_factor=2.0, mode="nearest")
        middle = self.merge(middle)
        near = near + functional.interpolate(self.to_near(middle), scale_factor=2.0, mode="nearest")
        made: Tensor = self.head(self.last(near))
        return made

    def forward(self, picture: Tensor) -> Tensor:
        made = self.raw(picture)
        return torch.cat([made[:, : len(CLASSES)].sigmoid(), made[:, len(CLASSES) :]], dim=1)
