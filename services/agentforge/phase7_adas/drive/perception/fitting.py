"""Confidence fitted on the calibration split, for each set of sensors that may be heard."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from agentforge.phase7_adas.drive.perception.agent import Perception
from agentforge.phase7_adas.drive.perception.combine import Evidence
from agentforge.phase7_adas.drive.perception.confidence import Confidence, fit
from agentforge.phase7_adas.drive.perception.scoring import labelled, truths
from agentforge.phase7_adas.drive.perception.sights import SENSORS, only, sight

SETS = [tuple(n for bit, n in enumerate(SENSORS) if mask >> bit & 1) for mask in range(1, 8)]


def fitted(perception: Perception, scenes: int, seed: int) -> Confidence:
    gathered, there, off = [], [], []
    for index in range(scenes):
        drawn, given = sight("calibration", seed, index, perception.specs)
        true = truths(drawn, perception.specs)
        for sensors in SETS:
            evidence = perception.evidence(only(given, *sensors))
            if evidence is None or len(evidence) == 0:
                continue
            hit, away = labelled(evidence, true)
            gathered.append(evidence)
            there.append(hit)
            off.append(away)
    every = Evidence(*(np.concatenate([getattr(each, f.name) for each in gathered]) for f in fields(Evidence)))
    made = fit(every, np.concatenate(there), np.concatenate(off))
    facts = {
        "split": "calibration",
        "seed": seed,
        "scenes": scenes,
        "candidates": len(every),
        "there": int(np.concatenate(there).sum()),
    }
    return replace(made, facts=facts)
