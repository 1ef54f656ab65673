"""The driving pipeline's parts, each by itself: what is seen, tracked and foreseen, and what V2X bears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, not_testable, stated

SEEDS = (101, 102, 103)  # no part was tuned on them
SCENES, LOOKS_S, PREDICTED = 600, 30.0, 12
MISSED, SURE = 1e-4, 0.95  # the seeds' thresholds
FAR_M = "0-150"
STREAMS = {"hiding": "targets hide each other", "open": "nothing hides"}


def trials() -> list[Trial]:
    return [
        *(Trial(f"perception/{seed}", {"what": "perception", "seed": seed}) for seed in SEEDS),
        *(
            Trial(f"fusion/{kind}/{seed}", {"what": f"fusion/{kind}", "seed": seed})
            for kind in STREAMS
            for seed in SEEDS
        ),
        *(Trial(f"prediction/{seed}", {"what": "prediction", "seed": seed}) for seed in SEEDS),
        Trial("v2x", {"what": "v2x", "seed": SEEDS[0]}),
    ]


def measure(what: str, seed: int) -> dict[str, Any]:
    if what == "perception":
        from agentforge.phase7_adas.drive.perception.measure import measure as seen

        return seen(SCENES, seed=seed)
    if what.startswith("fusion"):
        from agentforge.phase7_adas.drive.fusion.evidence import measure_fusion

        return measure_fusion(seed, seconds=LOOKS_S, hiding=what.endswith("hiding"))
    if what == "prediction":
        from agentforge.phase7_adas.drive.prediction.evidence import measure_prediction

        return measure_prediction(seed * 1_000, many=PREDICTED)
    from agentforge.phase7_adas.drive.v2x.measure import measure_v2x

    return measure_v2x(seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    return [
        *_perception([results[f"perception/{seed}"] for seed in SEEDS]),
        *(row for kind in STREAMS for row in _fusion(kind, [results[f"fusion/{kind}/{seed}"] for seed in SEEDS])),
        *_prediction([results[f"prediction/{seed}"] for seed in SEEDS]),
        *_v2x(results["v2x"]),
    ]


def _perception(told: list[dict[str, Any]]) -> list[Row]:
    n = sum(one["seeds"]["cases"] for one in told)
    how = f"{SCENES} test scenes at each seed, {n:,} vehicles and pedestrians up to 150 m"

    def of(key: str) -> list[float]:
        return [one["seeds"][key]["rate"] for one in told]

    found = [
        at_most("Vehicles and pedestrians missed", MISSED, of("false_negatives"), "1", theirs=True, method=how),
        at_least("Found with 95 % confidence", SURE, of("found_with_95_percent"), "1", theirs=True, method=how),
    ]  # fmt: skip
    for kind in ("vehicle", "cyclist", "pedestrian", "obstacle"):
        far = [one["all"]["combined"]["by_class"][kind] for one in told]
        for part in (FAR_M, "0-25", "25-50", "50-100", "100-150"):
            found.append(stated(f"{kind}s found, {part} m", [one[part]["recall"]["rate"] for one in far], "1"))
    found.append(stated("precision", [one["all"]["combined"]["precision"]["rate"] for one in told], "1"))
    found.append(stated("calibration error", [one["calibration_error"]["after"] for one in told], "1"))
    found.append(stated("before calibration", [one["calibration_error"]["before"] for one in told], "1"))
    return found


def _fusion(kind: str, told: list[dict[str, Any]]) -> list[Row]:
    how = f"{LOOKS_S:g} s of synthetic looks at each seed, the same detections for both; positions only"
    claim = f"Tracks: GOSPA over Stone Soup's, {STREAMS[kind]}"
    return [
        at_most(claim, 1.0, [one["gospa_ratio"] for one in told], "1", method=how),
        stated("ours", [one["ours"]["gospa_m"] for one in told], "m"),
        stated("time over Stone Soup's", [one["latency_ratio"] for one in told], "1"),
    ]


def _prediction(told: list[dict[str, Any]]) -> list[Row]:
    n = sum(one["imm"]["tracks"] for one in told)
    how = f"{PREDICTED} held-out scenes at each seed, {n:,} tracks, six ways each, 4 s"
    ratio = [one["lm"]["min_ade_m"][0] / one["imm"]["min_ade_m"][0] for one in told]
    found = [at_most("Language model over IMM: minADE", 1.0, ratio, "1", method=how)]
    for method in ("constant velocity", "imm", "lm"):
        found.append(stated(f"minADE, {method}", [one[method]["min_ade_m"][0] for one in told], "m"))
        found.append(stated(f"misses, 2 m at 4 s, {method}", [one[method]["miss_rate"][0] for one in told], "1"))
        found.append(stated(f"p99 of a step, {method}", [one[method]["p99_ms"] for one in told], "ms"))
    return found


def _v2x(told: dict[str, Any]) -> list[Row]:
    load, attacks = told["load"], told["attacks"]
    how = f"{load['stations']} stations at 10 Hz for {load['seconds']:.0f} s over UDP on loopback, one core"
    return [
        at_most("V2X messages lost", 0.0, [load["lost_by_count"]], "1", method=how),
        stated("CPU share of that core", [load["cpu_share_of_one_core"]], "1"),
        stated("messages accepted", [load["accepted"]], "1"),
        at_most("Replayed messages accepted", 0.0, [attacks["replayed at once"]["accepted"]], "1"),
        at_most("Random octets accepted", 0.0, [attacks["random octets"]["accepted"]], "1"),
        stated("turned bits accepted, unsigned", [attacks["one to four bits turned, unsigned"]["accepted"]], "1"),
        at_most("Turned bits accepted, signed", 0.0, [attacks["one to four bits turned, signed"]["accepted"]], "1"),
        not_testable("V2X with a certified stack, or a radio", "interoperates", "none was there"),
    ]
