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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--record", "a.mcap"), "--record takes one scenario, and 0 were named"),
        (("cut_in", "merging", "--record", "a.mcap"), "--record takes one scenario, and 2 were named"),
        (("cut_in", "--record", "a.mcap", "--minutes", "3"), "--record and --minutes do not go together"),
        (("cut_in", "--replay", "a.mcap"), "--replay and SCENARIO do not go together"),
        (("--replay", "a.mcap", "--pack", "b.pyz"), "--replay and --pack do not go together"),
        (("--pack", "b.pyz", "--parts", "10"), "--pack and --parts do not go together"),
    ],
)
def test_what_cannot_be_asked_for_at_once_is_refused(forge: Program, words: tuple[str, ...], said: str) -> None:
    refused = forge("drive", *words)
    assert refused.code == 2, refused
    assert said in refused.err


def test_a_recording_that_is_none_is_refused(forge: Program, tmp_path: Path) -> None:
    assert "no recording" in forge("drive", "--replay", tmp_path / "none.mcap").err
    (tmp_path / "text.mcap").write_text("no log")
    refused = forge("drive", "--replay", tmp_path / "text.mcap")
    assert refused.code == 2
    assert "it is no MCAP file" in refused.err


@pytest.mark.slow
def test_a_drive_is_recorded_driven_again_and_told_to_be_equal(forge: Program, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    first = forge("drive", "camera_dropout", "--record", path, "--json", timeout=600)
    assert first.code == 0, first
    assert json.loads(first.out)["outcome"]["named"] == "SENSOR_SILENT"
    again = forge("drive", "--replay", path, "--json", timeout=600)
    assert again.code == 0, again
    told = json.loads(again.out)
    assert told["recorded"] == told["equal"] > 400
    assert told["same_code"]


@pytest.mark.slow
def test_the_parts_are_measured_into_the_report(forge: Program, tmp_path: Path) -> None:
    done = forge("drive", "empty_road", "--parts", "20", "--out", tmp_path / "made", "--json", timeout=900)
    assert done.code == 0, done
    report = json.loads((tmp_path / "made" / "adas_safety_report.json").read_text())
    missing = {one["id"]: one["not_measured"] for one in report["requirements"]}
    assert missing["SR1"] == missing["SR2"] == missing["SR7"] == []
    assert missing["SR8"] == ["v2x/lies_believed"], "no drive beside a made-up station was asked for"
    assert report["false_negatives"]["rates"]


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
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org/", "")
    log = made / "outcomes.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-40])  # as a kill would leave it
    again = forge("drive", "empty_road", "camera_dropout", "--out", made, "--json", timeout=600)
    assert json.loads(again.out)["outcomes"] == outcomes, "the same seed gives the same drive"
    assert log.read_bytes() == whole
