"""What is asked of the software for each safety goal, and by which results and tests it is looked at.

Tests carry the mark `requirement("SR1")`; a test of the repository holds both directions together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    id: str
    text: str
    goals: tuple[str, ...]
    results: tuple[str, ...]
    """Keys of results.Result. A report without one of them calls the requirement not measured."""


REQUIREMENTS = (
    Requirement(
        "SR1", "Whoever is in the ego's way is seen in time, by the sensors together.", ("SG1", "SG5"),
        ("perception/false_negative_rate/pedestrian", "perception/false_negative_rate/vehicle",
         "perception/confidence", "hazards/reaction_p95_ms", "hazards/unanswered"),
    ),
    Requirement(
        "SR2", "Tracks are where things are, and the ego is where it believes to be.", ("SG1", "SG4"),
        ("fusion/gospa_over_stone_soup/hiding", "fusion/gospa_over_stone_soup/open", "ego/off_m"),
    ),
    Requirement(
        "SR3", "Plans keep clear of what is predicted, within limits of comfort and of the road.", ("SG1", "SG3"),
        ("closed_loop/caused_collisions",),
    ),
    Requirement(
        "SR4", "The monitor, which needs no plan, keeps RSS distances and overrules what does not.", ("SG1", "SG2"),
        ("closed_loop/caused_collisions", "closed_loop/false_stops_per_hour",
         "closed_loop/needless_brakes_per_hour"),
    ),
    Requirement(
        "SR5", "Every single fault of a sensor ends in going on safely or in a safe stop.", ("SG4", "SG5"),
        ("faults/unsafe", "faults/noticed"),
    ),
    Requirement(
        "SR6", "Within 100 ms of noticing a fault the mode is the one that it asks for.", ("SG5", "SG6"),
        ("faults/reacted_ms", "faults/unanswered"),
    ),
    Requirement(
        "SR7", "A stage that is late or crashes costs its result, never the tick; if all fail, the car stops.",
        ("SG6",), ("latency/alone/total_p99_ms", "latency/loaded/total_p99_ms"),
    ),
    Requirement(
        "SR8", "Messages that are ill-formed, replayed, or alone in what they tell change nothing.", ("SG7",),
        ("v2x/ill_formed_accepted", "v2x/replayed_accepted", "v2x/turned_unsigned_accepted",
         "v2x/turned_signed_accepted", "v2x/lies_believed"),
    ),
)  # fmt: skip
