import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.sensors.camera import Camera
from agentforge.phase7_adas.drive.sensors.spec import SPECS, CameraSpec
from agentforge.phase7_adas.drive.truth import Kind, Weather
from tests.unit.adas_drive.sensors.places import truth

CAR, THING = Kind.VEHICLE, Kind.OBSTACLE


def shot(
    *bodies: tuple[Kind, float, float, float], weather: Weather | None = None, noise: float = 0.0
) -> np.ndarray:
    rng = Rng(1, "test/camera").numpy()
    return Camera(SPECS.camera).take(truth(*bodies, weather=weather), rng, noise).astype(np.int64)


def changed(
    *bodies: tuple[Kind, float, float, float], weather: Weather | None = None
) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(np.abs(shot(*bodies, weather=weather) - shot(weather=weather)) > 4)
    return rows, columns


def test_the_seeds_camera() -> None:
    spec = SPECS.camera
    assert (spec.width_px, spec.height_px, spec.range_m, spec.claimed_integrity) == (1920, 1080, 150.0, "ASIL-D")
    assert 1e6 / spec.period_us == pytest.approx(30.0, rel=1e-4)
    assert shot().shape == (270, 480)


def test_a_car_stands_where_geometry_says() -> None:
    spec = SPECS.camera
    rows, columns = changed((CAR, 30.0, 3.0, 0.0))
    near = 30.0 - 2.25 - spec.mount_x_m
    left = 240 - spec.focal_px * (3.0 + 0.9) / near
    bottom = 135 + spec.focal_px * spec.mount_z_m / near
    assert columns.min() == pytest.approx(left, abs=1.5)
    assert rows.max() == pytest.approx(bottom, abs=1.5)


def test_twice_as_far_is_half_as_wide() -> None:
    wide = [np.ptp(changed((CAR, far, 0.0, 0.0))[1]) + 1 for far in (20.0, 37.0)]
    assert wide[0] / wide[1] == pytest.approx(2.0, rel=0.12)


def test_the_near_one_is_painted_over_the_far_one() -> None:
    both = shot((CAR, 12.0, 0.0, 0.0), (THING, 20.0, 0.0, 0.0))
    assert (both == shot((CAR, 12.0, 0.0, 0.0))).all()
    assert (both != shot((THING, 20.0, 0.0, 0.0))).any()


def test_fog_hides_what_is_far_first() -> None:
    fog = Weather(fog=0.8)
    assert len(changed((CAR, 90.0, 0.0, 0.0))[0]) > 10
    assert len(changed((CAR, 90.0, 0.0, 0.0), weather=fog)[0]) == 0
    assert len(changed((CAR, 15.0, 0.0, 0.0), weather=fog)[0]) > 100


def test_darkness_darkens_and_glare_blinds() -> None:
    assert shot(weather=Weather(darkness=1.0)).mean() < 0.35 * shot().mean()
    assert (shot(weather=Weather(glare=1.0)) == 255).mean() > 0.02
    assert (shot() == 255).mean() == 0.0


def test_rain_falls_elsewhere_in_each_frame() -> None:
    camera, wet = Camera(SPECS.camera), truth(weather=Weather(rain=1.0))
    one, two = (camera.take(wet, Rng(1, "test/rain", each).numpy(), 0.0) for each in (1, 2))
    assert (one != two).any()


def test_lane_marks_follow_the_road() -> None:
    road = Road(((400.0, 0.0),), lanes=2)
    there = truth()
    there.ego_6[:2] = 50.0, 1.75
    bare = Camera(SPECS.camera).take(there, Rng(1, "test/road").numpy(), 0.0).astype(np.int64)
    marked = Camera(SPECS.camera, road).take(there, Rng(1, "test/road").numpy(), 0.0).astype(np.int64)
    row = 135 + 60
    far = SPECS.camera.focal_px * SPECS.camera.mount_z_m / 60.5
    brighter = np.nonzero(marked[row] - bare[row] > 40)[0]
    right = 240 + SPECS.camera.focal_px * 1.75 / far
    assert np.abs(brighter - right).min() < 3


def test_the_same_numbers_give_the_same_picture() -> None:
    assert (shot((CAR, 20.0, 1.0, 0.0), noise=1.0) == shot((CAR, 20.0, 1.0, 0.0), noise=1.0)).all()
    assert (shot(noise=1.0) != shot(noise=0.0)).mean() > 0.5


def test_all_of_the_sensors_pixels() -> None:
    whole = CameraSpec(binning=1)
    fine = Camera(whole).take(truth((CAR, 30.0, 0.0, 0.0)), Rng(1, "test/fine").numpy(), 0.0)
    assert fine.shape == (1080, 1920)
    binned = fine.reshape(270, 4, 480, 4).mean(axis=(1, 3))
    off = np.abs(binned - shot((CAR, 30.0, 0.0, 0.0)))
    assert np.median(off) < 2.0
    assert np.quantile(off, 0.99) < 25.0


@pytest.mark.parametrize("x", [1.0, 2.9, 0.0, -1.0])
def test_a_body_about_the_lens_breaks_nothing(x: float) -> None:
    assert shot((CAR, x, 0.5, 0.0)).shape == (270, 480)
