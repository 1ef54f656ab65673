"""Hazards and safety goals. Severity, exposure and controllability are our assumptions, and are told as such."""

from __future__ import annotations

from dataclasses import dataclass

ASSUMED = "S, E and C are assumptions of this project's authors, made without a vehicle, a market or a review."


def asil(severity: int, exposure: int, controllability: int) -> str:
    """The table of ISO 26262-3: each step down in S, E or C from S3/E4/C3 is one step down from D."""
    if not (0 <= severity <= 3 and 0 <= exposure <= 4 and 0 <= controllability <= 3):
        raise ValueError(f"no such class: S{severity} E{exposure} C{controllability}")
    if 0 in (severity, exposure, controllability):
        return "QM"
    return {10: "D", 9: "C", 8: "B", 7: "A"}.get(severity + exposure + controllability, "QM")


@dataclass(frozen=True)
class Hazard:
    id: str
    malfunction: str
    situation: str
    severity: int
    exposure: int
    controllability: int

    @property
    def asil(self) -> str:
        return asil(self.severity, self.exposure, self.controllability)


@dataclass(frozen=True)
class Goal:
    id: str
    text: str
    safe_state: str
    tolerance_ms: int
    """From the fault to the hazard, if nothing is done: an assumption, too."""
    hazards: tuple[str, ...]


HAZARDS = (
    Hazard("H1", "does not brake for somebody in its way", "pedestrian or cyclist crosses in town", 3, 4, 3),
    Hazard("H2", "does not keep its distance", "the car ahead brakes hard", 3, 4, 2),
    Hazard("H3", "brakes hard without a reason", "car close behind at speed", 2, 4, 3),
    Hazard("H4", "leaves its lane", "oncoming traffic, bend", 3, 4, 3),
    Hazard("H5", "goes on with a belief of itself that is wrong", "position, speed or heading is lost", 3, 3, 3),
    Hazard("H6", "goes on though it sees too little", "sensor fails, is blinded, is stale; fog, night", 3, 3, 3),
    Hazard("H7", "reacts too late", "a stage overruns, hangs or crashes", 3, 3, 3),
    Hazard("H8", "believes a message that is false", "spoofed, replayed or broken V2X message", 3, 2, 3),
)

GOALS = (
    Goal(
        "SG1",
        "It does not hit anybody whom it could have avoided.",
        "standing, or out of the way",
        500,
        ("H1", "H2"),
    ),
    Goal("SG2", "It does not brake hard without a reason.", "driving on, comfortable deceleration", 500, ("H3",)),
    Goal(
        "SG3",
        "It stays within its lane's borders, or in a free one of its own way.",
        "standing in lane",
        500,
        ("H4",),
    ),
    Goal(
        "SG4",
        "It does not drive on a belief of its own state that contradicts itself.",
        "standing in lane",
        500,
        ("H5",),
    ),
    Goal(
        "SG5",
        "What it cannot see well enough, it drives slowly towards, or not at all.",
        "slower, or standing",
        1000,
        ("H6",),
    ),
    Goal(
        "SG6",
        "Every overrun or crash of a stage is noticed and answered.",
        "last safe plan, then standing",
        100,
        ("H7",),
    ),
    Goal(
        "SG7",
        "No message from outside alone makes it brake hard or drive on.",
        "as if it had not come",
        500,
        ("H8",),
    ),
)


def goal_asil(goal: Goal) -> str:
    """The highest of its hazards'."""
    ranks = ("QM", "A", "B", "C", "D")
    return max((each.asil for each in HAZARDS if each.id in goal.hazards), key=ranks.index)
