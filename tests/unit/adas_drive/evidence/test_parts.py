"""Raw numbers become results: pooled, with intervals, marked by who measured them; the report contains them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentforge.kit.recorded import Record
from agentforge.phase7_adas.drive.evidence import recorded as records
from agentforge.phase7_adas.drive.evidence.intervals import Rate
from agentforge.phase7_adas.drive.evidence.page import page
from agentforge.phase7_adas.drive.evidence.parts import (
    BANDS_M,
    FAR_M,
    KINDS,
    of_fusion,
    of_latency,
    of_perception,
    of_prediction,
    of_v2x,
)
from agentforge.phase7_adas.drive.evidence.results import HERE, Result, again, by_key
from agentforge.phase7_adas.drive.evidence.safety_report import safety_report
from agentforge.phase7_adas.drive.evidence.seed_names import NAMES, seed_metrics
from agentforge.phase7_adas.drive.showing import with_parts


def rates(missed: int, n: int) -> dict[str, Any]:
    return {
        "false_negatives": Rate(missed, n).told() if n else None,
        "recall": Rate(n - missed, n).told() if n else None,
    }


def sensors(missed: int, n: int) -> dict[str, Any]:
    rows = {kind: {band: rates(missed, n) for band in (FAR_M, *BANDS_M[:-1])} for kind in KINDS}
    return {"by_class": {kind: {**row, BANDS_M[-1]: rates(0, 0)} for kind, row in rows.items()}}


def perception(missed: int = 10, n: int = 100) -> dict[str, Any]:
    alone = {"camera": sensors(40, n), "radar": sensors(5, n), "lidar": sensors(30, n)}
    combined = {**sensors(missed, n), "precision": Rate(90, 100).told()}
    seeds = {
        "found_with_95_percent": Rate(70, 2 * n).told(), "mean_confidence_of_found": 0.9,
        "false_negatives": Rate(2 * missed, 2 * n).told(), "cases": 2 * n,
    }  # fmt: skip
    calibration = {"after": 0.01, "before": 0.1}
    return {"scenes": 50, "all": {"combined": combined, **alone}, "calibration_error": calibration, "seeds": seeds}


def fusion(ratio: float = 0.9) -> dict[str, Any]:
    return {"looks": 580, "gospa_ratio": ratio, "ours": {"gospa_m": 2.0, "missed": 0.1, "false": 0.2}}


def v2x(turned: int = 98) -> dict[str, Any]:
    sent = {"sent": 500, "accepted": 0}
    names = ("random octets", "random octets behind a true head", "replayed at once", "replayed after 10 s",
             "one to four bits turned, signed")  # fmt: skip
    attacks = {**dict.fromkeys(names, sent), "one to four bits turned, unsigned": {"sent": 500, "accepted": turned}}
    load = {"stations": 50, "seconds": 3.0, "lost_by_count": 0, "sender": {"sent": 1500}}
    return {"load": load, "attacks": attacks}


def latency() -> dict[str, Any]:
    made = [Result(f"latency/alone/{stage}_{part}_ms", 4.0, "ms", 2000, "ticks", bar=10.0)
            for stage in ("perception", "prediction", "planning", "total") for part in ("p50", "p99")]  # fmt: skip
    return {"numbers": {one.key.rpartition("/")[2]: one.told() for one in made}, "answers": {}}


def everything() -> dict[str, list[Result]]:
    return {
        "perception": of_perception([perception()]),
        "fusion": of_fusion([fusion()], "hiding") + of_fusion([fusion()], "open"),
        "v2x": of_v2x(v2x()),
        "latency": of_latency(latency()),
    }


def test_rates_of_several_seeds_are_pooled_with_the_interval_of_all() -> None:
    found = by_key(of_perception([perception(10), perception(30)]))
    one = found["perception/false_negative_rate/pedestrian"]
    assert (one.value, one.n, one.bar) == (0.2, 200, 1e-4)
    assert (one.low, one.high) == pytest.approx(Rate(40, 200).interval)
    assert one.verdict == "not reached"
    near = found["perception/false_negative_rate/pedestrian/0-25"]
    assert near.bar is None
    assert "perception/false_negative_rate/pedestrian/100-150" not in found, "no case, no rate"
    assert found["perception/over_best_alone"].value == pytest.approx(0.8 / 0.95)


def test_a_ratio_of_several_seeds_is_reached_only_by_its_whole_interval() -> None:
    one = of_fusion([fusion(0.9), fusion(0.99), fusion(1.05)], "open")[1]
    assert one.verdict == "not shown: too few cases"
    assert of_fusion([fusion(0.9), fusion(0.9), fusion(0.91)], "open")[1].verdict == "reached"
    method = {"min_ade_m": (0.8, 0.7, 0.9), "miss_rate": (0.2, 0.1, 0.3), "tracks": 60}
    ade = of_prediction([{"scenes": 4, "imm": method}])[0]
    assert (ade.key, ade.value, ade.low, ade.high) == ("prediction/imm/min_ade", 0.8, 0.7, 0.9)


def test_the_report_holds_the_parts_by_class_and_distance_and_fulfils_no_requirement_that_is_missed() -> None:
    results = with_parts([], everything())
    report = json.loads(json.dumps(safety_report(results, [], {})))
    verdicts = {one["id"]: one["verdict"] for one in report["requirements"]}
    assert verdicts["SR1"] == "not reached"
    assert verdicts["SR8"] == "not reached", "unsigned messages with turned bits pass"
    told = report["false_negatives"]["rates"]
    assert {(one["class"], one["metres"]) for one in told} == {
        (kind, band) for kind in KINDS for band in (FAR_M, *BANDS_M[:-1])
    }
    shown = page(report)
    assert "10.00%" in shown
    assert "Missed objects" in shown


def test_what_was_recorded_is_used_where_nothing_was_measured_and_says_of_which_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = {"perception/1": perception(), "fusion/hiding/1": fusion(), "fusion/open/1": fusion(), "v2x": v2x()}
    parts = dict(records._parts(trials))
    assert set(parts) == {"perception", "fusion", "v2x"}
    assert len(list(records._parts({"latency/alone": latency(), "drives/1": {}}))) == 1
    record = Record("adas", "driving_parts", "2026-11-22T10:00:00Z", "0.1.0", {}, {"v2x": {"code": "a" * 64}})
    assert records.source_of(record, "a" * 64) == "recorded on 2026-11-22, by this code"
    other = records.source_of(record, "b" * 64)
    assert "other code" in other
    assert "a" * 12 in other
    old = [Result("v2x/lost", 1.0, "1", 5, "m", bar=0.0, source=other)]
    monkeypatch.setattr("agentforge.phase7_adas.drive.showing.recorded", lambda: {"v2x": old})
    assert with_parts([], {}) == old
    now = [Result("v2x/lost", 0.0, "1", 5, "m", bar=0.0)]
    assert with_parts([], {"v2x": now}) == now
    assert other in page(safety_report(old, [], {}))


def test_a_result_comes_back_from_what_it_told() -> None:
    one = Result("k", 1.0, "ms", 3, "m", 0.5, 1.5, 2.0)
    assert again(json.loads(json.dumps(one.told()))) == one


def test_the_seeds_names_bear_only_what_was_measured_in_this_run() -> None:
    results = [one for part in everything().values() for one in part]
    made = {one.name: one for one in seed_metrics(results)}
    assert set(NAMES) <= set(made)
    assert made["adas/false_negative_rate"].value == 0.1
    assert made["adas/performance/fps"].value == 250.0
    assert not {"adas/safety_score", "adas/performance/power_watts", "adas/performance/gpu_usage_percent"} & set(
        made
    )
    elsewhere = [Result(one.key, one.value, one.unit, one.n, one.method, source="recorded") for one in results]
    assert {one.name for one in seed_metrics(elsewhere)} == {"adas/performance/memory_usage_mb"}
    assert all(one.source == HERE for one in results)
