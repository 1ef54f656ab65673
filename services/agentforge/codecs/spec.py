"""Which codec, with which settings: in words that a config, a search and a report share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Setting = int | float | str


@dataclass(frozen=True)
class Spec:
    codec: str
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def __str__(self) -> str:
        told = ",".join(f"{name}={value}" for name, value in sorted(self.settings.items()))
        return f"{self.codec}:{told}" if told else self.codec
