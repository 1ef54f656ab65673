"""Generated minutes in closed loop: 20 of them slowly, 1,000 where AGENTFORGE_DRIVE_1000 names a folder for them.

The folder keeps what was driven: the same call goes on where it was ended, until the code changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentforge.phase7_adas.drive.closed_loop.many import drive_many, tasks
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.closed_loop.summary import results
from agentforge.phase7_adas.drive.showing import REPORT, with_parts, write_report

pytestmark = [pytest.mark.slow, pytest.mark.requirement("SR3"), pytest.mark.requirement("SR5")]
PLACE, SEED, JOBS = "AGENTFORGE_DRIVE_1000", 7, len(os.sched_getaffinity(0))


@pytest.mark.timeout(3_600)
def test_twenty_minutes_without_a_collision_of_our_causing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes(20.0, tmp_path, capsys)


@pytest.mark.timeout(0)
@pytest.mark.skipif(not os.environ.get(PLACE), reason=f"hours: {PLACE} names no folder for 1,000 minutes")
def test_a_thousand_minutes_without_a_collision_of_our_causing(capsys: pytest.CaptureFixture[str]) -> None:
    place = Path(os.environ[PLACE])
    place.mkdir(parents=True, exist_ok=True)
    minutes(1_000.0, place, capsys)


def minutes(wanted: float, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = drive_many(tasks(wanted, SEED), place, JOBS)
    found = results(outcomes)
    write_report(outcomes, with_parts(found, {}), place)
    assert json.loads((place / REPORT).read_text())["scenarios"]
    with capsys.disabled():
        print(f"\n{wanted:g} generated minutes, {len(outcomes)} drives:")
        for one in found:
            print(f"  {one.key}: {one.value:.4g} {one.unit} [{one.low}, {one.high}], n={one.n}, {one.verdict}")
    assert sum(one.seconds for one in outcomes) >= 0.94 * wanted * 60, (
        "the second that a driver drives is not counted"
    )
    assert caused(outcomes) == []


def caused(outcomes: Sequence[Outcome]) -> list[str]:
    return [f"{one.scenario}, seed {one.seed}" for one in outcomes if one.caused]
