"""What stations tell of themselves: evidence for tracks that sensors see, a hint where they see nothing yet.

No message moves a track that a sensor has seen, and none confirms one: a lie costs the liar nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.agent import Neighbour
from agentforge.phase7_adas.drive.fusion.assign import NEVER, pairs
from agentforge.phase7_adas.drive.fusion.kinematics import EYE_22, inverse_22, length
from agentforge.phase7_adas.drive.fusion.tracks import FIRST_RATE, FLAGS, MOST, NEVER_US, Bank, Rows
from agentforge.phase7_adas.drive.messages import Source
from agentforge.phase7_adas.drive.truth import Floats, Ints, Kind

LATE_US: Final = 1_000_000
FUTURE_US: Final = 50_000
SIGMA_FLOOR_M: Final = 1.5
"""Their positions come from a GPS such as ours, whatever they claim; its offset differs from ours."""
GATE: Final = 13.8
SPEED_GATE_MPS: Final = 8.0
WORD: Final = 0.3
"""Log odds that one message adds to a track, as long as there is room for hearsay."""
MOST_ODDS: Final = -0.2
"""Hearsay never lifts a track above this: below what confirms it, and below what keeps a confirmed one told."""
BORN_ODDS: Final = -1.5
BORN_SPEED_SIGMA: Final = 1.5
V2X_COLUMN: Final = int(np.flatnonzero(int(Source.V2X) == FLAGS)[0])


class Hearsay:
    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self._heard: dict[int, int] = {}

    def step(self, bank: Bank, neighbours: tuple[Neighbour, ...], t_us: int) -> None:
        good = [each for each in neighbours if self._admit(each, t_us)]
        if not good:
            return
        if bank.t_us is None:
            bank.t_us = t_us
        now = bank.t_us
        told = np.array([_row(each, (now - each.t_us) / 1e6) for each in good])
        sigma_M = np.array([max(each.sigma_m, SIGMA_FLOOR_M) for each in good])
        row, column = self._pair(bank.rows, told, sigma_M)
        rows = bank.rows
        rows.source_us[row, V2X_COLUMN] = t_us
        rows.odds[row] = np.maximum(rows.odds[row], np.minimum(rows.odds[row] + WORD, MOST_ODDS))
        self._move_unseen(bank, row, told[column], sigma_M[column])
        self.counts["v2x/supported"] += len(row)
        untaken = np.ones(len(good), dtype=bool)
        untaken[column] = False
        free = untaken.nonzero()[0][: max(0, MOST - len(rows))]
        self.counts["v2x/hinted"] += len(free)
        if len(free):
            bank.rows = rows.joined(_born(bank, [good[at] for at in free], told[free], sigma_M[free], now))

    def _admit(self, each: Neighbour, t_us: int) -> bool:
        reason = _refusal(each, t_us)
        if not reason and each.t_us <= self._heard.get(each.station, NEVER_US):
            reason = "repeated"
        if reason:
            self.counts[f"v2x/{reason}"] += 1
            return False
        self._heard[each.station] = each.t_us
        if len(self._heard) > 4096:  # a flood of made-up stations must not fill the memory
            self._heard = {station: at for station, at in self._heard.items() if at > t_us - LATE_US}
        return True

    def _pair(self, rows: Rows, told_M4: Floats, sigma_M: Floats) -> tuple[Ints, Ints]:
        noise_M22 = (sigma_M**2)[:, None, None] * EYE_22
        inverse, _ = inverse_22(rows.cov[:, None, :2, :2] + noise_M22[None])
        off = told_M4[None, :, :2] - rows.mean[:, None, :2]
        squared = np.einsum("nmi,nmij,nmj->nm", off, inverse, off)
        slower = length(told_M4[None, :, 2:] - rows.mean[:, None, 2:])
        slack = SPEED_GATE_MPS + 2 * np.sqrt(rows.cov[:, 2, 2] + rows.cov[:, 3, 3])[:, None]
        return pairs(np.where((squared <= GATE) & (slower <= slack), squared, NEVER))

    def _move_unseen(self, bank: Bank, row: Ints, told_M4: Floats, sigma_M: Floats) -> None:
        """A track that only messages speak of goes where the newest says; others are not moved."""
        only = bank.rows.hits[row] == 0
        if not np.count_nonzero(only):
            return
        index = row[only]
        bank.rows.mean[index] = told_M4[only]
        bank.rows.cov[index] = _cov(sigma_M[only])
        assert bank.t_us is not None
        bank.rows.seen_us[index] = bank.t_us


def _refusal(each: Neighbour, t_us: int) -> str:
    numbers = (each.x_m, each.y_m, each.heading_rad, each.speed_mps, each.sigma_m, each.length_m, each.width_m)
    try:
        good = all(math.isfinite(number) for number in numbers) and each.kind in Kind.__members__.values()
        good = good and abs(each.x_m) < 1e6 and abs(each.y_m) < 1e6 and -5.0 <= each.speed_mps <= 90.0
        good = good and 0 < each.sigma_m <= 20.0 and 0 < each.length_m <= 30.0 and 0 < each.width_m <= 5.0
    except TypeError:
        good = False
    if not good:
        return "garbage"
    if each.t_us > t_us + FUTURE_US:
        return "future"
    return "too old" if each.t_us < t_us - LATE_US else ""


def _row(each: Neighbour, dt_s: float) -> list[float]:
    vx, vy = each.speed_mps * math.cos(each.heading_rad), each.speed_mps * math.sin(each.heading_rad)
    return [each.x_m + vx * dt_s, each.y_m + vy * dt_s, vx, vy]


def _cov(sigma_M: Floats) -> Floats:
    cov = np.zeros((len(sigma_M), 4, 4))
    cov[:, [0, 1], [0, 1]] = (sigma_M**2)[:, None]
    cov[:, [2, 3], [2, 3]] = BORN_SPEED_SIGMA**2
    return cov


def _born(bank: Bank, told: list[Neighbour], mean_M4: Floats, sigma_M: Floats, t_us: int) -> Rows:
    many = len(told)
    votes = np.full((many, len(Kind)), 0.01)
    votes[np.arange(many), [int(each.kind) for each in told]] += 0.3
    none = np.zeros(many, dtype=np.int64)
    source_us = np.full((many, len(FLAGS)), NEVER_US)
    source_us[:, V2X_COLUMN] = t_us
    size = np.array([[each.length_m, each.width_m, 1.5] for each in told])
    at = np.full(many, t_us)
    return Rows(
        bank.new_ids(many), mean_M4, _cov(sigma_M), size, votes, np.full(many, BORN_ODDS), at, at.copy(), none,
        np.full(many, FIRST_RATE), none.copy(), source_us, size[:, 0] / 2, none.copy(),
    )  # fmt: skip
