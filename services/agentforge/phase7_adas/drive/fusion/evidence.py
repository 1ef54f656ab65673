"""How well fusion does: GOSPA beside Stone Soup's, the cost of a look, and whether the covariance is honest."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

import numpy as np

from agentforge.phase7_adas.drive.agent import Seen
from agentforge.phase7_adas.drive.fusion.agent import Fusion
from agentforge.phase7_adas.drive.fusion.gospa import gospa
from agentforge.phase7_adas.drive.fusion.oracle import stone_soup
from agentforge.phase7_adas.drive.fusion.synthetic import Look, Stream, looks
from agentforge.phase7_adas.drive.messages import Ego, Tracks
from agentforge.phase7_adas.drive.truth import Floats, Kind

CUT_M: Final = 4.0
SETTLED: Final = 20
"""Looks at the beginning that are not scored: no tracker has had the time."""
STANDING: Final = Ego(0, np.zeros(6), np.eye(6) * 1e-6, True)
ALIKE: Final[Floats] = np.ones(len(Kind))
"""The stream's targets are pushed alike along their way and across it, and both trackers know it."""


def measure_fusion(
    seed: int, *, seconds: float = 30.0, clutter: float = 3.0, hiding: bool = True, rates: bool = False
) -> dict[str, Any]:
    """One stream through our bank and through Stone Soup's tracker; without `rates` both know positions alone."""
    stream = looks(seed, Stream(seconds=seconds, clutter=clutter, hiding=hiding))
    ours, honest = _ours(stream, rates)
    theirs = [(xy, took) for xy, took in stone_soup(stream)]
    us, them = _scores(stream, [xy for xy, _ in ours]), _scores(stream, [xy for xy, _ in theirs])
    ours_ms, theirs_ms = (1e3 * np.array([took for _, took in told]) for told in (ours, theirs))
    return {
        "looks": len(stream) - SETTLED,
        "ours": us, "stone_soup": them, "gospa_ratio": us["gospa_m"] / them["gospa_m"],
        "ours_median_ms": float(np.median(ours_ms)), "ours_p99_ms": float(np.percentile(ours_ms, 99)),
        "stone_soup_median_ms": float(np.median(theirs_ms)),
        "latency_ratio": float(np.median(ours_ms) / np.median(theirs_ms)),
        **honest,
    }  # fmt: skip


def _ours(stream: list[Look], rates: bool) -> tuple[list[tuple[Floats, float]], dict[str, float]]:
    fusion, told = Fusion(ALIKE), []
    nis, nees = [], []
    for look in stream:
        given = look.detections
        if not rates:
            given = replace(given, range_rate_N=np.full(len(given.range_rate_N), np.nan))
        seen = Seen(look.t_us, replace(STANDING, t_us=look.t_us), given)
        begun = time.perf_counter()
        tracks = fusion.track(seen)
        told.append((tracks.mean_N4[:, :2], time.perf_counter() - begun))
        nis.append(fusion.bank.nis)
        nees.append(_nees(look.truth_N4, tracks))
    squared, updates = np.concatenate(nees[SETTLED:]), np.concatenate(nis[SETTLED:])
    return told, {
        "nees_per_dimension": float(squared.mean() / 4), "nees_below_95": float((squared < 9.488).mean()),
        "nees_pairs": len(squared), "nis_per_dimension": float(updates.mean() / 2),
        "nis_below_95": float((updates < 5.991).mean()), "nis_updates": len(updates),
    }  # fmt: skip


def _nees(truth_N4: Floats, tracks: Tracks) -> Floats:
    """Of each told track that was seen in this look, against the true target nearest to it, within the cut."""
    fresh = tracks.unseen_us_N == 0
    mean, cov = tracks.mean_N4[fresh], tracks.cov_N44[fresh]
    if not len(mean) or not len(truth_N4):
        return np.zeros(0)
    away = np.linalg.norm(truth_N4[None, :, :2] - mean[:, None, :2], axis=2)
    near = away.min(axis=1) < CUT_M / 2
    off = truth_N4[away.argmin(axis=1)] - mean
    squared: Floats = np.einsum("ni,nij,nj->n", off, np.linalg.inv(cov), off)[near]
    return squared


def _scores(stream: list[Look], told: list[Floats]) -> dict[str, float]:
    """Means over the looks; missed and false as targets per look."""
    scored = [gospa(look.truth_N4[:, :2], xy, CUT_M) for look, xy in zip(stream, told, strict=True)][SETTLED:]
    pairs = sum(each.pairs for each in scored)
    return {
        "gospa_m": float(np.mean([each.total for each in scored])),
        "rms_m": float(np.sqrt(sum(each.localisation for each in scored) / max(pairs, 1))),
        "missed": float(np.mean([each.missed for each in scored]) / (CUT_M**2 / 2)),
        "false": float(np.mean([each.false for each in scored]) / (CUT_M**2 / 2)),
    }
