import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from agentforge.kit.errors import DataLoss, NotFound
from agentforge.phase7_adas.drive.perception.confidence import FITTED, load_confidence
from agentforge.phase7_adas.drive.perception.detector import WEIGHTS, decode, load
from agentforge.phase7_adas.drive.perception.scenes import scene
from agentforge.phase7_adas.drive.perception.targets import (
    CHANNELS,
    CLASSES,
    STRIDE,
    boxes,
    crop_shape,
    target,
)
from agentforge.phase7_adas.drive.sensors.spec import SPECS
from agentforge.phase7_adas.drive.truth import Kind
from tests.unit.adas_drive.sensors.places import truth

SPEC = SPECS.camera


def test_what_is_taught_is_what_is_told() -> None:
    """Targets written as a network's output come back as the bodies that they are of."""
    there = truth(
        (Kind.VEHICLE, 40.0, 3.0, 0.0), (Kind.PEDESTRIAN, 25.0, -3.0, 0.0), (Kind.CYCLIST, 60.0, -5.0, 0.0)
    )
    want = target(boxes(there, SPEC), crop_shape(SPEC))
    told = decode(np.concatenate([want.heat_CHW, want.box_5HW]), SPEC, 0.1)
    assert sorted(told.kind_N.tolist()) == [0, 1, 2]
    for kind, x, y in ((0, 40.0, 3.0), (2, 25.0, -3.0), (1, 60.0, -5.0)):
        which = told.kind_N.tolist().index(kind)
        ahead = x - SPEC.mount_x_m
        assert told.far_N[which] == pytest.approx(np.hypot(ahead, y), rel=0.01)
        assert told.bearing_N[which] == pytest.approx(np.arctan2(y, ahead), abs=0.004)


def test_hidden_bodies_are_not_asked_for() -> None:
    found = boxes(truth((Kind.VEHICLE, 15.0, 0.0, 0.0), (Kind.VEHICLE, 30.0, 0.0, 0.0)), SPEC)
    assert found.far_N[0] > found.far_N[1]
    assert found.taught_N.tolist() == [False, True]
    want = target(found, crop_shape(SPEC))
    assert want.at_HW.sum() == 1
    assert want.asked_HW.min() == 0.0


def test_obstacles_are_nothing_to_the_camera() -> None:
    assert len(boxes(truth((Kind.OBSTACLE, 15.0, 0.0, 0.0)), SPEC).far_N) == 0


def maps(*peaks: tuple[int, int, int, float], wide: float = 2.0) -> np.ndarray:
    made = np.zeros((CHANNELS, 24, 120), dtype=np.float32)
    for layer, row, column, heat in peaks:
        made[layer, row, column] = heat
        made[len(CLASSES) + 2 : len(CLASSES) + 4, row, column] = np.log(wide)
    return made


def test_of_boxes_that_overlap_the_hottest_stays() -> None:
    told = decode(maps((0, 10, 50, 0.6), (2, 10, 51, 0.9)), SPEC, 0.1)
    assert told.kind_N.tolist() == [2]
    apart = decode(maps((0, 10, 50, 0.6), (2, 10, 80, 0.9)), SPEC, 0.1)
    assert apart.kind_N.tolist() == [2, 0]
    middle = (apart.edges_N4[0, 0] + apart.edges_N4[0, 2]) / 2
    assert middle == pytest.approx(80.5 * STRIDE)


def test_only_peaks_are_told_and_cold_places_are_not() -> None:
    assert len(decode(maps((0, 10, 50, 0.6), (0, 10, 51, 0.59), wide=0.1), SPEC, 0.1)) == 1
    assert len(decode(maps((0, 10, 50, 0.05)), SPEC, 0.1)) == 0


def test_wild_outputs_stay_finite() -> None:
    wild = maps((0, 10, 50, 0.9), (1, 20, 3, 0.8))
    wild[len(CLASSES) :] = 1e6
    told = decode(wild, SPEC, 0.1)
    assert np.isfinite(told.far_N).all()
    assert np.isfinite(told.edges_N4).all()


def copied(tmp_path: Path) -> Path:
    for each in (WEIGHTS, WEIGHTS.with_suffix(".json"), FITTED):
        shutil.copy(each, tmp_path / each.name)
    return tmp_path


def test_the_committed_files_are_whole_and_small() -> None:
    assert len(load()) <= 300_000
    known = json.loads(WEIGHTS.with_suffix(".json").read_text())
    assert {"recipe", "made_by", "measured", "versions"} <= known.keys()
    assert load_confidence().facts["split"] == "calibration"


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    here = copied(tmp_path)
    raw = bytearray((here / "camera.onnx").read_bytes())
    raw[1000] ^= 1
    (here / "camera.onnx").write_bytes(raw)
    with pytest.raises(DataLoss, match="is not what"):
        load(here / "camera.onnx")
    (here / "camera.onnx").unlink()
    with pytest.raises(NotFound, match="missing"):
        load(here / "camera.onnx")


@pytest.mark.parametrize("change", [b"{", b"{}", b"[]", b"null", b""])
def test_a_changed_confidence_is_refused(tmp_path: Path, change: bytes) -> None:
    here = copied(tmp_path)
    (here / "confidence.json").write_bytes(change)
    with pytest.raises(DataLoss):
        load_confidence(here / "confidence.json")
    (here / "confidence.json").write_bytes(FITTED.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(DataLoss):
        load_confidence(here / "confidence.json")
    with pytest.raises(NotFound):
        load_confidence(here / "other.json")


def test_splits_never_meet() -> None:
    drawn = [scene(split, 1, index).truth for split in ("train", "calibration", "test") for index in range(30)]
    assert len({each.ego_6.tobytes() + each.others.state_N6.tobytes() for each in drawn}) == 90
    again = scene("test", 1, 7).truth
    assert again.others.state_N6.tobytes() == scene("test", 1, 7).truth.others.state_N6.tobytes()
    with pytest.raises(ValueError, match="no split"):
        scene("holdout", 1, 0)
