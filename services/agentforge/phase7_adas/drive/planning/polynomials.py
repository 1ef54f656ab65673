"""Batches of polynomials: the smoothest way from one state of motion to another (least squared jerk)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats


@dataclass(frozen=True)
class Course:
    """Place, speed and acceleration (or their like over a length) of C motions at the same J arguments."""

    x_JC: Floats
    v_JC: Floats
    a_JC: Floats


_FIRST = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
_SECOND = np.array([[2.0], [6.0], [12.0], [20.0]])
_THIRD = np.array([[6.0], [24.0], [60.0]])


@dataclass(frozen=True)
class Batch:
    """C polynomials of degree five in (t - from), lowest power first; after `long_C` the end's speed is kept."""

    coef_C6: Floats
    long_C: Floats
    from_C: Floats

    def __len__(self) -> int:
        return len(self.long_C)

    def over(self, t_J: Floats) -> Course:
        """All of them at the same arguments."""
        return Course(*_course(self._powers()[:, :, None], t_J[:, None] - self.from_C, self.long_C))

    def over_each(self, t_J: Floats) -> tuple[Floats, Floats, Floats]:
        """The same as (C, J): sooner done where the arguments are many and the polynomials few."""
        return _course(self._powers()[..., None], t_J - self.from_C[:, None], self.long_C[:, None])

    def _powers(self) -> Floats:
        """(6, 3, C): by power, the coefficients of place, speed and acceleration."""
        c = self.coef_C6.T
        powers = np.empty((6, 3, c.shape[1]))
        powers[:, 0] = c
        np.multiply(c[1:], _FIRST, out=powers[:5, 1])
        np.multiply(c[2:], _SECOND, out=powers[:4, 2])
        return powers

    def state(self, t: float) -> tuple[float, float, float]:
        """Place, speed and acceleration of the first; of one number Python is sooner done than numpy."""
        c, begin, long = self.coef_C6[0].tolist(), float(self.from_C[0]), float(self.long_C[0])
        since = t - begin
        t = min(since, long)
        x = v = a = 0.0
        for power in range(5, -1, -1):
            x = x * t + c[power]
            v = v * t + power * c[power] if power else v
            a = a * t + power * (power - 1) * c[power] if power > 1 else a
        return (x, v, a) if since < long else (x + v * (since - t), v, 0.0)

    def jerk_over(self, t_J: Floats) -> Floats:
        since = t_J[:, None] - self.from_C
        return _horner(self.coef_C6.T[3:] * _THIRD, np.minimum(since, self.long_C)) * (since < self.long_C)

    def ends(self) -> Floats:
        """Where each is when it ends."""
        return _horner(self.coef_C6.T, self.long_C)

    def row(self, index: int) -> Batch:
        return Batch(
            self.coef_C6[index : index + 1], self.long_C[index : index + 1], self.from_C[index : index + 1]
        )


def _course(powers: Floats, since: Floats, long: Floats) -> tuple[Floats, Floats, Floats]:
    """Horner's rule for place, speed and acceleration at once; each sets in at its own highest power."""
    t, inside = np.minimum(since, long), since < long
    made = np.empty((3, *t.shape))
    x, v, a = made
    np.multiply(powers[5, 0], t, out=x)
    x += powers[4, 0]
    v[...] = powers[4, 1]
    xv = made[:2]
    xv *= t
    xv += powers[3, :2]
    a[...] = powers[3, 2]
    for of in powers[2::-1]:
        made *= t
        made += of
    if not inside.all():
        a *= inside
        since -= t
        since *= v
        x += since
    return x, v, a


def _horner(coef: Floats, t: Floats) -> Floats:
    """Coefficients by the first axis, lowest power first; the others broadcast against `t`."""
    value = coef[-1] * t
    for one in coef[-2:0:-1]:
        value += one
        value *= t
    value += coef[0]
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
    t, squared = long_C, long_C * long_C
    dx = end_C3[:, 0] - (x0 + v0 * t + a0 / 2 * squared)
    dv = end_C3[:, 1] - (v0 + a0 * t)
    da = end_C3[:, 2] - a0
    dat = da * squared
    c3 = (20 * dx - 8 * dv * t + dat) / (2 * t**3)
    c4 = (-30 * dx + 14 * dv * t - 2 * da * squared) / (2 * t**4)
    c5 = (12 * dx - 6 * dv * t + dat) / (2 * t**5)
    return _batch(start_3, c3, c4, c5, long_C, begin)


def quartic(start_3: Floats, end_C2: Floats, long_C: Floats, begin: float = 0.0) -> Batch:
    """From (x, v, a) to a speed and an acceleration, wherever that is."""
    _, v0, a0 = (float(one) for one in start_3)
    t = long_C
    dv, da = end_C2[:, 0] - (v0 + a0 * t), end_C2[:, 1] - a0
    c3 = (3 * dv - da * t) / (3 * (t * t))
    c4 = (-2 * dv + da * t) / (4 * t**3)
    return _batch(start_3, c3, c4, 0.0, long_C, begin)


def _batch(start_3: Floats, c3: Floats, c4: Floats, c5: Floats | float, long_C: Floats, begin: float) -> Batch:
    count = len(long_C)
    coef = np.empty((count, 6))
    coef[:, 0], coef[:, 1], coef[:, 2] = start_3[0], start_3[1], start_3[2] / 2
    coef[:, 3], coef[:, 4], coef[:, 5] = c3, c4, c5
    return Batch(coef, np.asarray(long_C, dtype=np.float64), np.full(count, begin))
