from dataclasses import replace

import numpy as np
import pytest

from agentforge.phase7_adas.drive.prediction.data import Scene, held_out, scenes
from agentforge.phase7_adas.drive.prediction.evidence import measure_on
from tests.unit.adas_drive.prediction.test_imm import BENT, in_lane, tracks


def made(seed: int) -> Scene:
    """One car in its lane, told without error."""
    told = tuple(tracks(tick * 50_000, in_lane(tick * 0.05)) for tick in range(160))
    return Scene("made", seed, BENT, np.array([5]), np.stack([each.mean_N4[:, :2] for each in told]), told)


def test_a_scene_that_may_have_been_learned_from_is_refused() -> None:
    seed = next(seed for seed in range(100) if not held_out(seed))
    with pytest.raises(ValueError, match="no test"):
        measure_on([made(seed)], 1, ["imm"])


def test_numbers_that_can_be_checked() -> None:
    seeds = [seed for seed in range(100) if held_out(seed)][:2]
    found = measure_on([made(seed) for seed in seeds], 1, ["constant velocity", "imm"])
    assert found["scenes"] == 2
    assert found["imm"]["tracks"] == found["constant velocity"]["tracks"] == 2 * 5
    # the bend begins within four seconds: straight on leaves the lane, the lane does not
    assert found["constant velocity"]["min_fde_m"][0] > 2.0
    assert found["imm"]["min_fde_m"][0] < 0.5
    assert found["imm"]["miss_rate"] == (0.0, 0.0, 0.0)
    # two scenes that are alike leave nothing for the interval
    assert found["imm"]["min_ade_m"][1] == pytest.approx(found["imm"]["min_ade_m"][2])


def test_a_track_of_no_body_is_not_scored() -> None:
    seed = next(seed for seed in range(100) if held_out(seed))
    scene = made(seed)
    ghosts = tuple(replace(each, mean_N4=each.mean_N4 + np.array([0, 30.0, 0, 0])) for each in scene.tracks)
    empty = replace(scene, tracks=ghosts)
    assert (empty.future(40)[1] == -1).all()
    found = measure_on([scene, empty], 1, ["imm"])
    assert found["imm"]["tracks"] == 5


@pytest.mark.slow
def test_scenes_of_the_world_keep_to_their_side_of_the_split() -> None:
    for learned in (True, False):
        scene = next(scenes(0, 1, learned=learned))
        assert held_out(scene.seed) is not learned
        assert len(scene.tracks) == len(scene.xy_TB2)
