"""`agentforge drive`, as a program."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.program import Program


def test_scenarios_are_listed_with_their_families(forge: Program) -> None:
    shown = forge("drive", "--list")
    assert shown.code == 0, shown
    assert "\nsensors\n" in shown.out
    assert "camera_blinded" in shown.out
    told = json.loads(forge("drive", "--list", "--json").out)
    assert len(told) >= 30
    assert {"name", "family", "summary", "seconds", "wanted"} == set(told[0])


def test_an_unknown_scenario_is_refused_before_anything_is_driven(forge: Program, tmp_path: Path) -> None:
    refused = forge("drive", "empty_road", "sudden_break", "--out", tmp_path / "made")
    assert refused.code == 2
    assert "no scenario 'sudden_break'" in refused.err
    assert "Did you mean 'sudden_brake'?" in refused.err
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_a_drive_leaves_its_report_and_is_not_driven_twice(forge: Program, tmp_path: Path) -> None:
    made = tmp_path / "made"
    first = forge("drive", "empty_road", "camera_dropout", "--out", made, "--jobs", "2", "--json", timeout=600)
    assert first.code == 0, first
    outcomes = json.loads(first.out)["outcomes"]
    assert [one["scenario"] for one in outcomes] == ["empty_road", "camera_dropout"]
    assert [one["caused"] for one in outcomes] == [0, 0]
    assert outcomes[1]["reacted_ms"] <= 100
    report = json.loads((made / "adas_safety_report.json").read_text())
    assert [one["scenario"] for one in report["scenarios"]] == ["camera_dropout", "empty_road"]
    page = (made / "adas_safety_report.html").read_text()
    assert page.count("<figure>") == 2
    assert "http" not in page.replace("http://www.w3.org/", "")
    log = made / "outcomes.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-40])  # as a kill would leave it
    again = forge("drive", "empty_road", "camera_dropout", "--out", made, "--json", timeout=600)
    assert json.loads(again.out)["outcomes"] == outcomes, "the same seed gives the same drive"
    assert log.read_bytes() == whole
