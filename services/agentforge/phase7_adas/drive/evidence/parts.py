"""Raw numbers of the parts as results of the safety case; those of several seeds are pooled."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agentforge.phase7_adas.drive.evidence.intervals import Rate
from agentforge.phase7_adas.drive.evidence.results import Result, again

Told = Mapping[str, Any]
MISSED, SURE = 1e-4, 0.95
"""The seeds' thresholds: vehicles and pedestrians that are missed, and detection confidence."""
KINDS: Final = ("vehicle", "pedestrian", "cyclist", "obstacle")
HELD_TO_BAR: Final = ("vehicle", "pedestrian")
FAR_M: Final = "0-150"
BANDS_M: Final = ("0-25", "25-50", "50-100", "100-150")
_ALONE: Final = ("camera", "radar", "lidar")
_T_95: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t by the number of seeds: 95 % of a mean."""


def of_perception(told: Sequence[Told]) -> list[Result]:
    scenes = sum(one["scenes"] for one in told)
    how = f"{scenes:,} test scenes; in sight: at least 30 % visible, to 150 m; found: with confidence of .5"
    found = [_pooled("perception/confidence", [one["seeds"]["found_with_95_percent"] for one in told],
                     f"{how}; vehicles and pedestrians found with 95 % confidence", SURE, "at least")]  # fmt: skip
    missed = [one["seeds"]["false_negatives"] for one in told]
    found.append(_pooled("perception/missed", missed, f"{how}; vehicles and pedestrians together", MISSED))
    means = [one["seeds"]["mean_confidence_of_found"] for one in told]
    cases = sum(one["seeds"]["cases"] for one in told)
    if all(mean is not None for mean in means):
        found.append(_mean("perception/mean_confidence", means, "1", f"{how}; of those found", cases))
    for kind in KINDS:
        rows = [one["all"]["combined"]["by_class"][kind] for one in told]
        for band in (FAR_M, *BANDS_M):
            key = f"perception/false_negative_rate/{kind}" + ("" if band == FAR_M else f"/{band}")
            bar = MISSED if kind in HELD_TO_BAR and band == FAR_M else None
            found.append(_pooled(key, [row[band]["false_negatives"] for row in rows], f"{how}; {band} m", bar))
    precision = [one["all"]["combined"]["precision"] for one in told]
    found.append(_pooled("perception/precision", precision, how))
    errors = [one["calibration_error"]["after"] for one in told]
    found.append(_mean("perception/calibration_error", errors, "1", f"{how}; expected, after calibration", scenes))
    return [*(one for one in found if one.n), *_beside_one(told, how)]


def _beside_one(told: Sequence[Told], how: str) -> Iterator[Result]:
    """What fusing sensors is for. Below one, a sensor alone finds more than all together."""
    n = sum(one["seeds"]["cases"] for one in told)
    together, best = _found(told, "combined"), max(_found(told, name) for name in _ALONE)
    if not best:
        return
    method = f"{how}; vehicles and pedestrians found by all sensors, over those found by the best one alone"
    yield Result("perception/over_best_alone", together / best, "1", n, method)


def _found(told: Sequence[Told], sensors: str) -> int:
    rows = [one["all"][sensors]["by_class"][kind][FAR_M]["recall"] for one in told for kind in HELD_TO_BAR]
    return sum(row["events"] for row in rows if row is not None)


def of_fusion(told: Sequence[Told], kind: str) -> list[Result]:
    """`kind`: hiding or open."""
    looks = sum(one["looks"] for one in told)
    how = (
        f"synthetic looks, {len(told)} seeds, {'targets hide each other' if kind == 'hiding' else 'nothing hides'}"
    )
    over = f"{how}; over Stone Soup's on the same positions"
    return [
        _mean(f"fusion/gospa/{kind}", [one["ours"]["gospa_m"] for one in told], "m", how, looks),
        _mean(f"fusion/gospa_over_stone_soup/{kind}", [one["gospa_ratio"] for one in told], "1", over, looks, 1.0),
        _mean(
            f"fusion/missed/{kind}", [one["ours"]["missed"] for one in told], "1", f"{how}; targets a look", looks
        ),
        _mean(f"fusion/false/{kind}", [one["ours"]["false"] for one in told], "1", f"{how}; tracks a look", looks),
    ]


def of_prediction(told: Sequence[Told]) -> list[Result]:
    found = []
    for method in (name for name in ("imm", "lm") if name in told[0]):
        rows = [one[method] for one in told]
        n = sum(row["tracks"] for row in rows)
        how = f"{sum(one['scenes'] for one in told)} held-out scenes, {n:,} tracks, six ways, 4 s"
        for key, name, unit in (("min_ade_m", "min_ade", "m"), ("miss_rate", "missed", "1")):
            value, low, high = (statistics.mean(row[key][at] for row in rows) for at in range(3))
            sure = (low, high) if all(one["scenes"] > 1 for one in told) else ()  # drawn from scenes
            found.append(Result(f"prediction/{method}/{name}", value, unit, n, how, *sure))
    return found


def of_v2x(told: Told) -> list[Result]:
    load, attacks = told["load"], told["attacks"]
    how = f"{load['stations']} stations at 10 Hz for {load['seconds']:.0f} s over UDP on loopback"
    found = [Result("v2x/lost", load["lost_by_count"], "1", load["sender"]["sent"], how, bar=0.0)]
    found.append(Result("v2x/sent", load["sender"]["sent"], "1", load["sender"]["sent"], how))
    for key, names, method in (
        ("ill_formed", ("random octets", "random octets behind a true head"), "garbage, some behind a true head"),
        ("replayed", ("replayed at once", "replayed after 10 s"), "a true stream once more"),
        ("turned_unsigned", ("one to four bits turned, unsigned",), "turned bits, without signatures"),
        ("turned_signed", ("one to four bits turned, signed",), "turned bits, with signatures asked for"),
    ):  # fmt: skip
        rate = Rate(sum(attacks[name]["accepted"] for name in names), sum(attacks[name]["sent"] for name in names))
        found.append(Result(f"v2x/{key}_accepted", rate.events, "1", rate.n, f"messages; {method}", bar=0.0))
    return found


def of_latency(told: Told) -> list[Result]:
    """Of one trial: alone, or loaded."""
    return [again(one) for one in told["numbers"].values()]


def _pooled(
    key: str, rates: Sequence[Told | None], method: str, bar: float | None = None, sense: Any = "at most"
) -> Result:
    """n is zero where there was no case."""
    there = [rate for rate in rates if rate is not None]
    if not there:
        return Result(key, math.nan, "1", 0, method)
    rate = Rate(sum(one["events"] for one in there), sum(one["n"] for one in there))
    return Result(key, rate.value, "1", rate.n, method, *rate.interval, bar, sense)


def _mean(key: str, values: Sequence[float], unit: str, method: str, n: int, bar: float | None = None) -> Result:
    """With the seeds' own interval, where there are several. Nothing here can be below zero."""
    mean = statistics.mean(values)
    if len(values) not in _T_95:
        return Result(key, mean, unit, n, method, bar=bar)
    half = _T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    how = f"{method}; interval over {len(values)} seeds"
    return Result(key, mean, unit, n, how, max(mean - half, 0.0), mean + half, bar)
