"""IMU and GPS."""

import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.sensors.gps import Gps
from agentforge.phase7_adas.drive.sensors.imu import Imu
from agentforge.phase7_adas.drive.sensors.spec import SPECS, GpsSpec, ImuSpec
from agentforge.phase7_adas.drive.truth import HEADING, YAW_RATE
from tests.unit.adas_drive.sensors.places import truth


def test_the_seeds_imu_and_gps() -> None:
    assert 1e6 / SPECS.imu.period_us == 100.0
    assert SPECS.imu.claimed_integrity == "ASIL-D"
    assert 1e6 / SPECS.gps.period_us == 5.0
    assert SPECS.gps.claimed_integrity == "ASIL-B"


def test_at_rest_and_in_a_curve() -> None:
    exact = Imu(ImuSpec(accel_bias_mps2=0.0, gyro_bias_radps=0.0), Rng(1, "test/imu").numpy())
    there = truth(speed=10.0)
    there.ego_6[YAW_RATE] = 0.2
    there.ego_6[HEADING] = np.pi / 2
    accel, gyro, magnet = exact.take(there, Rng(1, "test/imu", 1).numpy(), noise=0.0)
    assert accel == pytest.approx([0.0, 2.0, 9.81])
    assert gyro == pytest.approx([0.0, 0.0, 0.2])
    assert magnet == pytest.approx([1.0, 0.0, 0.0])  # north is ahead


def test_nine_axes_are_noisy_by_the_spec() -> None:
    imu, there = Imu(SPECS.imu, Rng(1, "test/imu").numpy()), truth()
    made = np.array([np.concatenate(imu.take(there, Rng(2, "test/imu", each).numpy())) for each in range(800)])
    assert made.shape[1] == 9
    assert made[:, 0].std() == pytest.approx(SPECS.imu.accel_sigma_mps2, rel=0.15)
    assert made[:, 5].std() == pytest.approx(SPECS.imu.gyro_sigma_radps, rel=0.15)
    assert np.linalg.norm(made[:, 6:], axis=1) == pytest.approx(np.ones(800))


def test_gps_is_off_by_about_a_metre() -> None:
    there = truth()
    firsts = np.array(
        [
            Gps(SPECS.gps, Rng(e, "test/gps").numpy()).take(there, Rng(e, "test/gps", 1).numpy())[0]
            for e in range(600)
        ]
    )
    assert (firsts - there.ego_6[:2]).std() == pytest.approx(1.0, rel=0.08)


def test_its_error_wanders_slowly() -> None:
    gps, there = Gps(GpsSpec(noise_sigma_m=0.0), Rng(5, "test/gps").numpy()), truth()
    path = np.array([gps.take(there, Rng(6, "test/gps", each).numpy())[0] for each in range(3000)])
    assert np.abs(np.diff(path, axis=0)).max() < 0.5
    assert np.ptp(path[:, 0]) > 1.0


def test_doppler() -> None:
    velocity = Gps(SPECS.gps, Rng(1, "test/gps").numpy()).take(truth(speed=12.0), Rng(1, "a").numpy(), 0.0)[1]
    assert velocity == pytest.approx([12.0, 0.0])
