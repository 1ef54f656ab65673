"""The agents that a car is made of by default."""

from __future__ import annotations

from agentforge.phase7_adas.drive.fusion.agent import Fusion
from agentforge.phase7_adas.drive.orchestrator.pipeline import Agents
from agentforge.phase7_adas.drive.perception.agent import Perception
from agentforge.phase7_adas.drive.planning.agent import Planning
from agentforge.phase7_adas.drive.prediction.agent import Prediction
from agentforge.phase7_adas.drive.safety.monitor import Monitor


def assemble() -> Agents:
    return Agents(Fusion(), Perception(), Prediction(), Planning(), Monitor())
