"""The front radar: echoes of bodies, also of partly hidden ones, merged by its resolution, and clutter."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.readings import AZIMUTH, RANGE, RANGE_RATE, SNR_DB
from agentforge.phase7_adas.drive.sensors.geometry import View, rays, view, visible
from agentforge.phase7_adas.drive.sensors.spec import RadarSpec
from agentforge.phase7_adas.drive.truth import HEIGHT, SPEED, Floats, Kind, Truth

SECTION_DBSM = {Kind.VEHICLE: 10.0, Kind.CYCLIST: 1.0, Kind.PEDESTRIAN: -4.0, Kind.OBSTACLE: -6.0}
LORRY_DB = 6.0
REFERENCE_DBSM = 10.0  # a car at the radar's range is at its threshold
MOST_SNR_DB = 60.0
HIDDEN_DB = 12.0  # lost behind one body: waves pass under cars
PARTS = np.array([0.5, 0.15, 0.85])  # of a body's angle, at which it echoes; only vehicles have the last two
PARTS_DB = np.array([0.0, -4.0, -4.0])


class Radar:
    def __init__(self, spec: RadarSpec) -> None:
        self.spec = spec

    def take(self, truth: Truth, rng: np.random.Generator, noise: float = 1.0) -> Floats:
        spec = self.spec
        seen = view(truth, spec.mount_x_m, spec.range_m + 10.0)
        echoes = self._echoes(seen, truth, rng) if len(seen) else np.zeros((0, 4))
        echoes = self._merged(echoes[echoes[:, SNR_DB] > spec.threshold_db])
        weak = 1.0 + 10.0 ** ((spec.threshold_db - echoes[:, SNR_DB]) / 20.0)
        drawn = rng.standard_normal((len(echoes), 3)) * noise
        echoes[:, RANGE] += drawn[:, 0] * spec.range_sigma_m
        echoes[:, AZIMUTH] += drawn[:, 1] * spec.azimuth_sigma_rad * weak
        echoes[:, RANGE_RATE] += drawn[:, 2] * spec.rate_sigma_mps
        found = np.concatenate([echoes, self._clutter(truth, rng)])
        kept = (found[:, RANGE] > 0.2) & (found[:, RANGE] <= spec.range_m)
        kept &= np.abs(found[:, AZIMUTH]) <= spec.field_of_view_rad / 2
        return found[kept]

    def _echoes(self, seen: View, truth: Truth, rng: np.random.Generator) -> Floats:
        many, spec = len(seen), self.spec
        angle = np.arctan2(seen.corners_N42[:, :, 1], seen.corners_N42[:, :, 0])
        low, high = angle.min(axis=1), angle.max(axis=1)
        asked = low[:, None] + (high - low)[:, None] * PARTS
        every = np.arange(many)
        far = rays(seen, asked.ravel())[0].reshape(many, many, len(PARTS))[every, every]
        part, before = visible(seen, spec.mount_z_m)
        section = np.array([SECTION_DBSM[kind] for kind in Kind])[seen.kind_N]
        section = section + np.where(
            seen.kind_N == Kind.VEHICLE,
            np.where(seen.size_N3[:, HEIGHT] > 2.3, LORRY_DB, 0.0),
            np.where(seen.kind_N == Kind.OBSTACLE, (seen.id_N * 40503 % 97) / 97 * 12.0, 0.0),
        )
        section = section - HIDDEN_DB * (1.0 - part) * np.maximum(before, 1)
        with np.errstate(invalid="ignore"):
            snr = spec.threshold_db + section[:, None] - REFERENCE_DBSM + PARTS_DB
            snr = snr + 40.0 * np.log10(spec.range_m / np.maximum(far, 0.5)) - 0.02 * truth.weather.rain * far
            snr = np.minimum(snr, MOST_SNR_DB) + 3.0 * rng.standard_normal(snr.shape)  # echoes flicker
        snr[~np.isfinite(far)] = -np.inf
        snr[:, 1:][seen.kind_N != Kind.VEHICLE] = -np.inf
        rate = seen.velocity_N2[:, :1] * np.cos(asked) + seen.velocity_N2[:, 1:] * np.sin(asked)
        limbs = np.where(seen.kind_N == Kind.PEDESTRIAN, 0.25, np.where(seen.kind_N == Kind.CYCLIST, 0.15, 0.0))
        rate = rate + limbs[:, None] * rng.standard_normal(rate.shape)
        return np.stack([np.where(np.isfinite(far), far, 0.0), asked, rate, snr], axis=2).reshape(-1, 4)

    def _merged(self, echoes_M4: Floats) -> Floats:
        """The strongest of each cell."""
        spec = self.spec
        cells = np.array([spec.range_cell_m, spec.azimuth_cell_rad, spec.rate_cell_mps])
        strongest = echoes_M4[np.argsort(-echoes_M4[:, SNR_DB], kind="stable")]
        key = np.floor(strongest[:, :3] / cells).astype(np.int64)
        _, first = np.unique((key[:, 0] * 4096 + key[:, 1]) * 65536 + key[:, 2], return_index=True)
        return strongest[np.sort(first)]

    def _clutter(self, truth: Truth, rng: np.random.Generator) -> Floats:
        """Echoes of nothing: half of them stand still like the road, half have any rate."""
        spec = self.spec
        many = int(rng.poisson(spec.clutter_per_scan))
        azimuth = rng.uniform(-0.5, 0.5, many) * spec.field_of_view_rad
        still = -truth.ego_6[SPEED] * np.cos(azimuth)
        rate = np.where(rng.random(many) < 0.5, still, rng.uniform(-30.0, 20.0, many))
        snr = spec.threshold_db + rng.exponential(2.0, many)
        return np.stack([rng.uniform(2.0, spec.range_m, many), azimuth, rate, snr], axis=1)
