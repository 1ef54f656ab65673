"""A station: a vehicle's radio, from what the vehicle knows of itself to datagrams."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from agentforge.phase7_adas.drive.v2x import cam, denm
from agentforge.phase7_adas.drive.v2x.bsm import CORE
from agentforge.phase7_adas.drive.v2x.cam_rules import CamRules
from agentforge.phase7_adas.drive.v2x.envelope import Envelope, What
from agentforge.phase7_adas.drive.v2x.signing import Signer, Unsigned
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.warnings import Warnings
from agentforge.phase7_adas.drive.v2x.wire_bsm import core_of

BSM_PERIOD_US = 100_000


class Station:
    """BSM at 10 Hz, CAM by ETSI's rules, DENM on an event. `kinds` says which of them it has."""

    def __init__(
        self, number: int, *, kinds: Collection[What] = tuple(What), signer: Signer | None = None, phase_us: int = 0
    ) -> None:
        """`phase_us` is when its first BSM is due."""
        self.number, self.kinds = number, frozenset(kinds)
        self.sent = 0
        self._signer: Signer = signer or Unsigned()
        self._bsm_due_us, self._bsms = phase_us, 0
        self._cam, self._warnings = CamRules(), Warnings()

    def step(self, told: Told, latitude_deg: float, longitude_deg: float, skew_us: int = 0) -> list[bytes]:
        """What is sent now. Position comes twice, as several stations are turned into degrees at once.

        By `skew_us` its clock is ahead: what it stamps, not when it sends.
        """
        if told.station != self.number:
            raise ValueError(f"station {self.number} was told to speak for {told.station}")
        stamped = told if not skew_us else replace(told, t_us=max(0, told.t_us + skew_us))
        skew_us = stamped.t_us - told.t_us
        out = []
        if What.BSM in self.kinds and told.t_us >= self._bsm_due_us:
            # one that was due between two steps goes at the later one; the rate stays
            self._bsm_due_us += BSM_PERIOD_US * (1 + (told.t_us - self._bsm_due_us) // BSM_PERIOD_US)
            payload = CORE.write(core_of(stamped, latitude_deg, longitude_deg, self._bsms))
            self._bsms += 1
            out.append(self._sealed(What.BSM, stamped.t_us, payload))
        if What.CAM in self.kinds and self._cam.due(told):
            tree = cam.tree_of(stamped, latitude_deg, longitude_deg, self._cam.low_frequency(told.t_us))
            out.append(self._sealed(What.CAM, stamped.t_us, cam.encode(tree)))
        if What.DENM in self.kinds:
            for cause, number, detected_us, over in self._warnings.due(told):
                detected_us = max(0, detected_us + skew_us)
                tree = denm.tree_of(stamped, latitude_deg, longitude_deg, cause, number, detected_us, over)
                out.append(self._sealed(What.DENM, stamped.t_us, denm.encode(tree)))
        return out

    def _sealed(self, what: What, t_us: int, payload: bytes) -> bytes:
        covered = Envelope(what, self.number, self.sent, t_us, payload).covered()
        self.sent += 1
        return covered + self._signer.sign(covered)
