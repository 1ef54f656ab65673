"""One strip of each scenario, a clip of what went wrong, and no more than a page can bear."""

from pathlib import Path

import numpy as np
import pytest

from agentforge.phase7_adas.drive.closed_loop import pictures
from agentforge.phase7_adas.drive.closed_loop.pictures import CLIP, STRIP, Pictures, strips
from agentforge.phase7_adas.drive.evidence.page import page
from agentforge.phase7_adas.drive.evidence.safety_report import safety_report
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Bodies, Truth, Weather
from agentforge.phase7_adas.drive.view.moment import moment

ROAD = Road(pieces=((500.0, 0.0),), lanes=2, oncoming=1)
NOBODY = Bodies(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 6)), np.zeros((0, 3)))


def taken(ticks: int = 4) -> Pictures:
    made = Pictures()
    for tick in range(ticks):
        ego = np.array([10.0 * tick, 1.75, 0.0, 10.0, 0.0, 0.0])
        made._moments.append(moment(Truth(tick * 250_000, ego, np.array([4.6, 1.9, 1.5]), NOBODY, Weather())))
    return made


def test_the_first_drive_leaves_a_strip_and_the_first_that_went_wrong_a_strip_and_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "cut_in"
    taken().write(folder, ROAD, "first", wrong=False)
    assert "first" in (folder / STRIP).read_text()
    assert not (folder / CLIP).exists()
    taken().write(folder, ROAD, "second", wrong=False)
    taken().write(folder, ROAD, "third", wrong=True)
    taken().write(folder, ROAD, "fourth", wrong=True)
    assert "third" in (folder / STRIP).read_text()
    assert "third, which went wrong" in (folder / CLIP).read_text()
    taken(0).write(tmp_path / "never", ROAD, "no moment", wrong=True)
    assert not (tmp_path / "never").exists()


def test_a_page_has_room_for_what_went_wrong_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, wrong in (("a_well", False), ("b_well", False), ("c_wrong", True)):
        taken().write(tmp_path / pictures.__name__ / name, ROAD, name, wrong=wrong)
    folder = tmp_path / pictures.__name__
    size = max(each.stat().st_size for each in folder.glob(f"*/{STRIP}"))
    found = strips(folder, 2 * size + 100)
    assert [name for name, one in found.items() if one.svg is not None] == ["a_well", "c_wrong"]
    shown = page(safety_report([], [], {}), found)
    assert shown.count("<svg") == 2
    assert shown.count("<details open>") == 1
    assert all(one.path in shown for one in found.values() if one.svg is None)
    assert found["c_wrong"].clip is not None
    assert found["c_wrong"].clip in shown
    assert (folder.parent / found["c_wrong"].clip).exists()
    assert strips(tmp_path / "nothing") == {}
