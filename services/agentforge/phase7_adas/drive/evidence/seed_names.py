"""Results under the names that the seeds' dashboards ask for; what nothing was measured of has no number here.

Not among them: adas/safety_score (nobody can measure compliance by driving in a generator),
adas/performance/gpu_usage_percent and adas/performance/power_watts (no GPU is used, and there is no meter).
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from typing import Final

from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.drive.evidence.results import HERE, Result, by_key

NAMES: Final = {
    "adas/total_latency_ms": "latency/alone/total_p99_ms",
    "adas/perception_latency_ms": "latency/alone/perception_p99_ms",
    "adas/prediction_latency_ms": "latency/alone/prediction_p99_ms",
    "adas/planning_latency_ms": "latency/alone/planning_p99_ms",
    "adas/detection_confidence": "perception/mean_confidence",
    "adas/false_negative_rate": "perception/missed",
    "adas/sensor_fusion_quality": "perception/over_best_alone",
    "adas/v2x_messages_sent": "v2x/sent",
}
_MEDIAN: Final = "latency/alone/total_p50_ms"


def seed_metrics(results: Sequence[Result]) -> Iterator[Measurement]:
    """Of what was measured in this run; recorded figures are of another one."""
    found = by_key(one for one in results if one.source == HERE)
    for name, key in NAMES.items():
        if key in found:
            one = found[key]
            yield Measurement(name, one.value, one.unit, f"{key}: {one.method}", one.n)
    if _MEDIAN in found:
        one = found[_MEDIAN]
        yield Measurement(
            "adas/performance/fps", 1e3 / one.value, "1/s", f"by the median tick: {one.method}", one.n
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Measurement(
        "adas/performance/memory_usage_mb", peak, "MB", "peak of the process, with all that it did", 1
    )
