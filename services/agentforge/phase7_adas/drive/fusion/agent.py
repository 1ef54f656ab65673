"""Fusion as the pipeline sees it: first where the ego is, then what moves around it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from agentforge.phase7_adas.drive.agent import FUSION_MS, Motion, Seen
from agentforge.phase7_adas.drive.fusion.ego import EgoFilter
from agentforge.phase7_adas.drive.fusion.kinematics import ACROSS_PART_BY_KIND
from agentforge.phase7_adas.drive.fusion.measured import measured
from agentforge.phase7_adas.drive.fusion.tracks import Bank
from agentforge.phase7_adas.drive.fusion.v2x import Hearsay
from agentforge.phase7_adas.drive.messages import Ego, Tracks
from agentforge.phase7_adas.drive.truth import Floats

LATE_US: Final = 500_000
"""Detections older than this say nothing of now."""


class Fusion:
    """Keeps the ego's filter and the tracks. `counts` says what was refused, by why."""

    name = "fusion"
    deadline_ms = FUSION_MS

    def __init__(self, across_part: Floats = ACROSS_PART_BY_KIND) -> None:
        self.counts: Counter[str] = Counter()
        self.ego = EgoFilter(self.counts)
        self.bank = Bank(self.counts, across_part)
        self.hearsay = Hearsay(self.counts)

    def hear(self, motion: Motion) -> None:
        self.ego.hear(motion)

    def localise(self, motion: Motion) -> Ego:
        return self.ego.step(motion)

    def track(self, seen: Seen) -> Tracks:
        if seen.detections.t_us > seen.t_us:
            self.counts["detections/future"] += 1
        elif seen.detections.t_us < seen.t_us - LATE_US:
            self.counts["detections/too old"] += 1
        else:
            self.bank.step(measured(seen.detections, seen.ego, self.counts))
        self.hearsay.step(self.bank, seen.neighbours, seen.t_us)
        return self.bank.told(seen.t_us)
