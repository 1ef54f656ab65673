"""Batches of polynomials: the smoothest way from one state of motion to another (least squared jerk)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats


@dataclass(frozen=True)
class Motion1:
    """Place, speed, acceleration and jerk (or their like over a length) of C motions at J arguments."""

    x_CJ: Floats
    v_CJ: Floats
    a_CJ: Floats
    j_CJ: Floats


_FIRST = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
_SECOND = np.array([2.0, 6.0, 12.0, 20.0])
_THIRD = np.array([6.0, 24.0, 60.0])


@dataclass(frozen=True)
class Batch:
    """C polynomials of degree five in (t - from), lowest power first; after `long_C` the end's speed is kept."""

    coef_C6: Floats
    long_C: Floats
    from_C: Floats

    def __len__(self) -> int:
        return len(self.long_C)

    def at(self, t_CJ: Floats) -> Motion1:
        """`t_CJ` may be any shape that broadcasts against (C, J)."""
        since = t_CJ - self.from_C[:, None]
        t = np.minimum(since, self.long_C[:, None])
        inside = since < self.long_C[:, None]
        c = self.coef_C6
        x = _horner(c, t)
        v = _horner(c[:, 1:] * _FIRST, t)
        a = _horner(c[:, 2:] * _SECOND, t)
        j = _horner(c[:, 3:] * _THIRD, t)
        a *= inside
        j *= inside
        if not inside.all():
            x += v * (since - t)
        return Motion1(x, v, a, j)

    def row(self, index: int) -> Batch:
        return Batch(
            self.coef_C6[index : index + 1], self.long_C[index : index + 1], self.from_C[index : index + 1]
        )


def _horner(coef_Ck: Floats, t_CJ: Floats) -> Floats:
    value = coef_Ck[:, -1:] * t_CJ
    for power in range(coef_Ck.shape[1] - 2, 0, -1):
        value += coef_Ck[:, power, None]
        value *= t_CJ
    value += coef_Ck[:, :1]
    return np.asarray(value)


def together(*batches: Batch) -> Batch:
    return Batch(
        np.concatenate([one.coef_C6 for one in batches]),
        np.concatenate([one.long_C for one in batches]),
        np.concatenate([one.from_C for one in batches]),
    )


def quintic(start_3: Floats, end_C3: Floats, long_C: Floats, begin: float = 0.0) -> Batch:
    """From (x, v, a) to (x, v, a) after `long_C`; C may be zero."""
    x0, v0, a0 = (float(one) for one in start_3)
    t = long_C
    dx = end_C3[:, 0] - (x0 + v0 * t + a0 / 2 * t**2)
    dv = end_C3[:, 1] - (v0 + a0 * t)
    da = end_C3[:, 2] - a0
    c3 = (20 * dx - 8 * dv * t + da * t**2) / (2 * t**3)
    c4 = (-30 * dx + 14 * dv * t - 2 * da * t**2) / (2 * t**4)
    c5 = (12 * dx - 6 * dv * t + da * t**2) / (2 * t**5)
    return _batch(start_3, c3, c4, c5, long_C, begin)


def quartic(start_3: Floats, end_C2: Floats, long_C: Floats, begin: float = 0.0) -> Batch:
    """From (x, v, a) to a speed and an acceleration, wherever that is."""
    _, v0, a0 = (float(one) for one in start_3)
    t = long_C
    dv, da = end_C2[:, 0] - (v0 + a0 * t), end_C2[:, 1] - a0
    c3 = (3 * dv - da * t) / (3 * t**2)
    c4 = (-2 * dv + da * t) / (4 * t**3)
    return _batch(start_3, c3, c4, np.zeros(len(t)), long_C, begin)


def _batch(start_3: Floats, c3: Floats, c4: Floats, c5: Floats, long_C: Floats, begin: float) -> Batch:
    count = len(long_C)
    low = np.broadcast_to(np.array([start_3[0], start_3[1], start_3[2] / 2]), (count, 3))
    coef = np.concatenate([low, np.stack([c3, c4, c5], axis=1)], axis=1)
    return Batch(coef, np.asarray(long_C, dtype=np.float64), np.full(count, begin))
