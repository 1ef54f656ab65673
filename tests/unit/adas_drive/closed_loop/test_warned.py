"""What reading DENMs is good for: a car that brakes hard behind a lorry that hides it."""

from dataclasses import replace

import pytest

from agentforge.phase7_adas.drive.closed_loop.run import Driven, drive
from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.truth import SPEED, Truth
from agentforge.phase7_adas.drive.v2x.envelope import What
from agentforge.phase7_adas.drive.v2x.radio import Radio

pytestmark = [pytest.mark.slow, pytest.mark.requirement("SR8")]
SCENARIO = replace(SCENARIOS["v2x_hidden_brake"], seconds=10.0)
BRAKES_US = 6_000_000


def driven(*kinds: What) -> tuple[Driven, float]:
    """With the seconds from the braking, which the lorry hides, to the ego's being 2 m/s slower."""
    speed: dict[int, float] = {}

    def watch(tick: Tick, truth: Truth) -> None:
        speed[truth.t_us] = float(truth.ego_6[SPEED])

    found = drive(SCENARIO, 0, radio=Radio(SCENARIO, 0, kinds=kinds), watch=watch)
    slower = (t_us for t_us in sorted(speed) if t_us > BRAKES_US and speed[t_us] < speed[BRAKES_US] - 2.0)
    return found, (next(slower) - BRAKES_US) / 1e6


def test_who_is_warned_slows_earlier_and_brakes_no_harder() -> None:
    warned, sooner_s = driven(What.BSM, What.DENM)
    told, later_s = driven(What.BSM)
    assert sooner_s < later_s - 1.0
    assert warned.outcome.hardest_brake_mps2 <= told.outcome.hardest_brake_mps2 + 0.3
    assert warned.outcome.minimal_risk == 0, "a warning alone stops nobody"
    assert warned.outcome.collisions == told.outcome.collisions == 0
