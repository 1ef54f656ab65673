"""The state machine of modes: down at once, up only after a time without a cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentforge.phase7_adas.drive.messages import Fault, Mode
from agentforge.phase7_adas.drive.safety.faults import CODES, MODE_OF


@dataclass(frozen=True)
class Recovery:
    """How long nothing may ask for a mode before it is left upwards, one step at a time."""

    degraded_us: int = 1_000_000
    minimal_risk_us: int = 2_000_000
    emergency_us: int = 800_000
    stopped_us: int = 2_000_000
    stands_mps: float = 0.1
    stands_us: int = 300_000


UP = {Mode.DEGRADED: Mode.NORMAL, Mode.MINIMAL_RISK: Mode.DEGRADED, Mode.EMERGENCY: Mode.DEGRADED}


def wanted(faults: Iterable[Fault]) -> Mode:
    """The worst mode that a fault asks for."""
    return max((MODE_OF[CODES[fault.code].reaction] for fault in faults), default=Mode.NORMAL)


class Modes:
    """A fault's reaction begins in the tick that tells of it."""

    def __init__(self, recovery: Recovery | None = None) -> None:
        self.mode = Mode.NORMAL
        self._recovery = by = recovery or Recovery()
        self._patience_us = {
            Mode.DEGRADED: by.degraded_us, Mode.MINIMAL_RISK: by.minimal_risk_us, Mode.EMERGENCY: by.emergency_us,
        }  # fmt: skip
        self._asked_us = 0
        self._moved_us = 0

    def step(self, t_us: int, faults: Iterable[Fault], speed_mps: float) -> Mode:
        asked, by = wanted(faults), self._recovery
        if abs(speed_mps) > by.stands_mps:
            self._moved_us = t_us
        if self.mode == Mode.STOPPED:
            return self._stopped(t_us, asked)
        if asked >= self.mode:
            self.mode, self._asked_us = asked, t_us
        patience = self._patience_us.get(self.mode)
        if self.mode >= Mode.MINIMAL_RISK and t_us - self._moved_us >= by.stands_us:
            self.mode, self._asked_us = Mode.STOPPED, t_us
        elif patience is not None and t_us - self._asked_us >= patience:
            self.mode, self._asked_us = UP[self.mode], t_us
        return self.mode

    def _stopped(self, t_us: int, asked: Mode) -> Mode:
        """Who stands goes on when nothing asks for standing any more; first carefully."""
        if asked >= Mode.MINIMAL_RISK:
            self._asked_us = t_us
        elif t_us - self._asked_us >= self._recovery.stopped_us:
            self.mode, self._asked_us = Mode.DEGRADED, t_us
        return self.mode
