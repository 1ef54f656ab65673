import json
import re
from typing import Any

import pytest

from agentforge.phase7_adas.drive.evidence import hara
from agentforge.phase7_adas.drive.evidence.page import page
from agentforge.phase7_adas.drive.evidence.requirements import REQUIREMENTS
from agentforge.phase7_adas.drive.evidence.results import Result, by_key
from agentforge.phase7_adas.drive.evidence.safety_report import safety_report

CAUSED = Result("closed_loop/caused_collisions", 0.0, "1", 40, "40 drives", bar=0.0)
BRAKES = Result("closed_loop/needless_brakes_per_hour", 0.0, "1/h", 7200, "2 hours", 0.0, 1.8)
FALSE = Result("closed_loop/false_stops_per_hour", 0.5, "1/h", 7200, "2 hours", 0.01, 2.8)
SCENARIO = {
    "scenario": "blinded camera", "family": "sensors", "summary": "<script>alert(1)</script>", "drives": 3,
    "injected": [["camera", "blind"]], "wanted": "goes on", "as_wanted": 3, "collisions": 0, "caused": 0,
    "minimal_risk": 0, "false_stops": 0,
    "needless_brakes": 0, "hardest_brake_mps2": 3.25, "slowest_reaction_ms": None,
    "hazards": 0, "hazards_foreseen": 0, "hazards_answered": 0, "hazards_passed": 0, "hazards_unanswered": 0,
    "slowest_hazard_reaction_ms": None,
}  # fmt: skip


def made(*results: Result) -> dict[str, Any]:
    return safety_report(results, [SCENARIO], {"SR3": ["tests/a.py::test_b"]})


def test_links_go_both_ways_and_end_somewhere() -> None:
    report = made(CAUSED, FALSE)
    hazards, goals = ({one["id"]: one for one in report[kind]} for kind in ("hazards", "goals"))
    requirements = {one["id"]: one for one in report["requirements"]}
    for goal in goals.values():
        assert goal["hazards"]
        assert goal["requirements"], f"nothing is asked for {goal['id']}"
        assert all(goal["id"] in hazards[each]["goals"] for each in goal["hazards"])
        assert all(goal["id"] in requirements[each]["goals"] for each in goal["requirements"])
    assert all(one["goals"] for one in hazards.values()), "a hazard without a goal"
    (caused,) = (one for one in report["results"] if one["key"] == CAUSED.key)
    assert caused["requirements"] == ["SR3", "SR4"]


def test_what_was_not_measured_is_said() -> None:
    verdicts = {one["id"]: one["verdict"] for one in made(CAUSED)["requirements"]}
    assert verdicts["SR3"] == "held in all of 40 cases"
    assert {one["id"]: one["verdict"] for one in made(CAUSED, FALSE, BRAKES)["requirements"]}["SR4"].startswith(
        "measured"
    )
    assert verdicts["SR4"] == "not measured"
    (fourth,) = (one["not_measured"] for one in made(CAUSED)["requirements"] if one["id"] == "SR4")
    assert fourth == [FALSE.key, BRAKES.key]
    worse = Result(CAUSED.key, 2.0, "1", 40, "40 drives", bar=0.0)
    assert {one["verdict"] for one in made(worse, FALSE)["requirements"] if one["id"] in ("SR3", "SR4")} == {
        "not reached"
    }


def test_too_few_cases_are_not_a_proof() -> None:
    few = Result("perception/confidence", 0.96, "1", 30, "30 objects", 0.83, 0.99, 0.95, "at least")
    assert few.verdict == "not shown: too few cases"
    assert Result("k", 0.96, "1", 3000, "m", 0.951, 0.97, 0.95, "at least").verdict == "reached"
    assert Result("k", 0.94, "1", 3000, "m", 0.93, 0.96, 0.95, "at least").verdict == "not reached"
    assert Result("k", 0.94, "1", 3, "m").verdict == "measured"
    with pytest.raises(ValueError, match="measured twice"):
        by_key([few, few])


def test_the_table_of_asil() -> None:
    assert [hara.asil(*each) for each in ((3, 4, 3), (3, 4, 2), (2, 4, 2), (1, 4, 2), (1, 1, 1), (3, 0, 3))] == [
        "D", "C", "B", "A", "QM", "QM",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no such class"):
        hara.asil(4, 1, 1)


def test_words_that_are_not_ours_to_say() -> None:
    text = json.dumps(made(CAUSED, FALSE)).lower() + page(made(CAUSED)).lower()
    assert "evidence for" in text
    assert not re.search(r"\bcompliant\b|certified|\bproven\b", text)
    assert "not covered" in text


def test_the_page_has_every_link_it_names_and_escapes_what_is_foreign() -> None:
    text = page(made(CAUSED, FALSE))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text
    there = set(re.findall(r'id="([^"]+)"', text))
    asked = set(re.findall(r'href="#([^"]+)"', text))
    assert asked <= there
    assert all(key in text for one in REQUIREMENTS for key in one.results)


def test_the_page_tells_how_soon_it_braked_where_there_was_a_hazard() -> None:
    assert "None in these drives." in page(made(CAUSED))
    braked = {**SCENARIO, "hazards": 9, "hazards_foreseen": 3, "hazards_answered": 4, "hazards_passed": 2}
    slowest = Result("hazards/reaction_p95_ms", 1234.5, "ms", 4, "how")
    report = safety_report([slowest], [{**braked, "slowest_hazard_reaction_ms": 1337.0}], {})
    assert report["scenarios"][0]["hazards_answered"] == 4
    (asked,) = (one for one in report["requirements"] if slowest.key in one["results"])
    assert asked["goals"]
    assert slowest.key not in asked["not_measured"]
    text = page(report)
    assert "None in these drives." not in text
    assert re.search(r">9</td>.*>3</td>.*>4</td>.*>2</td>.*>0</td>.*>1,337</td>", text)
    assert "1,234" in text
