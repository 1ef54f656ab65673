"""What a phase hangs into the loop: parts that learn or count beside the model, and the pace of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from agentforge.kit.measure import Measurement


class Part:
    """A subclass says what it needs; the rest does nothing. All it remembers is in its two states: a run that was
    killed goes on from them, and one that is rewound goes back to them."""

    def before_step(self) -> None:
        """Gradients are whole and clipped, weights not moved yet."""

    def after_step(self, step: int, share: float) -> None:
        """`step` counts from 0. `share`: of the highest learning rate, taken in this step."""

    def measurements(self, step: int) -> list[Measurement]:
        """What to tell about now and then, of the last steps."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """After the model and the part's tensors are loaded."""

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """What `tensors` gave, on the CPU."""


class Beat(Protocol):
    """What holds in one step."""

    @property
    def stage(self) -> str: ...
    @property
    def rate(self) -> float:
        """Times the learning rate of the schedule."""

    @property
    def grokfast(self) -> float:
        """Times grokfast.lamb."""


class Pacing(Protocol):
    """Beside the config's schedule. `step` counts from 0."""

    def at(self, step: int, steps: int) -> Beat: ...
    def observe(self, step: int, steps: int, loss: float) -> bool:
        """A validation loss after `step` steps. True: a stage ends here."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
