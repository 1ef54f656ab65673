"""All named scenarios, by name, in the order of their families."""

from __future__ import annotations

from agentforge.phase7_adas.drive.scenarios.cars import CARS
from agentforge.phase7_adas.drive.scenarios.faults import SENSORS, STAGES
from agentforge.phase7_adas.drive.scenarios.nominal import NOMINAL
from agentforge.phase7_adas.drive.scenarios.people import PEOPLE
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.scenarios.v2x import V2X
from agentforge.phase7_adas.drive.scenarios.vary import vary
from agentforge.phase7_adas.drive.scenarios.weather import WEATHER

_ALL = (*NOMINAL, *CARS, *PEOPLE, *WEATHER, *SENSORS, *STAGES, *V2X)
SCENARIOS: dict[str, Scenario] = {each.name: each for each in _ALL}
assert len(SCENARIOS) == len(_ALL)

__all__ = ["SCENARIOS", "vary"]
