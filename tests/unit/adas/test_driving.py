"""The phase with `drive`: a safety report beside the package; and what it says where it cannot drive."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from agentforge.kit.config import validate_config
from agentforge.phase7_adas.admission import check
from agentforge.phase7_adas.config import AdasConfig
from agentforge.phase7_adas.drive.deployment import agent
from tests.unit.adas.phases import ask, small

_LITTLE = {"search": None, "export": {"int8": None, "cpu": ["4bit"], "context": 48}}


def test_without_its_packages_it_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    config = validate_config(AdasConfig, small(drive={"minutes": 1.0}))
    assert check(config, []) == []
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "scipy" else real(name))
    (refused,) = check(config, [])
    assert (refused.reason, refused.field) == ("MISSING_TOOL", "drive")
    assert "agentforge[drive]" in refused.next_step
    assert check(validate_config(AdasConfig, small()), []) == []


@pytest.mark.slow
def test_it_leaves_a_safety_report_and_its_numbers(volume: Path) -> None:
    wanted = {"minutes": 0.5, "scene_every_s": 5.0, "parts": 0}
    run = ask(volume, "driven", "llama", drive=wanted, **_LITTLE).go()
    made = run.output.parent / "adas_safety_report"
    report = json.loads((made / "adas_safety_report.json").read_text())
    assert len(report["scenarios"]) == 2
    assert (made / "adas_safety_report.html").read_text().count("<svg") == 2
    assert run.values("adas/drive/closed_loop/caused_collisions") == [0.0]
    assert run.values("adas/total_latency_ms") == [], "what was not measured has no number"
    assert {one["scenario"] for one in run.samples("adas/drive/scene")} == {
        one["scenario"] for one in report["scenarios"]
    }
    again = ask(volume, "driven-again", "llama", drive=wanted, **_LITTLE).go()
    other = again.output.parent / "adas_safety_report" / "adas_safety_report.json"
    assert other.read_bytes() == (made / "adas_safety_report.json").read_bytes()
    eyes = [each.output.parent / "driving_package" / "eyes.pyz" for each in (run, again)]
    assert eyes[0].read_bytes() == eyes[1].read_bytes()
    assert agent.run(eyes[0])["pictures"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_with_parts_it_has_the_seeds_numbers(volume: Path) -> None:
    run = ask(volume, "measured", "llama", drive={"minutes": 0.3, "parts": 20}, **_LITTLE).go()
    for name in ("total_latency_ms", "detection_confidence", "false_negative_rate", "sensor_fusion_quality"):
        (value,) = run.values(f"adas/{name}")
        assert value >= 0.0
    report = json.loads((run.output.parent / "adas_safety_report" / "adas_safety_report.json").read_text())
    assert report["false_negatives"]["rates"]
