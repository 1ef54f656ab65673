"""A drive recorded, and driven again from its recording: the pipeline over the same readings, verdict by verdict.

What it commands now moves nothing: the readings are those of the recorded drive. The same code gives the same
verdicts to the bit; other code that gives others says where it parts from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.drive.closed_loop.car import Car
from agentforge.phase7_adas.drive.closed_loop.many import Task, code, varied
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.closed_loop.run import drive
from agentforge.phase7_adas.drive.injected import InjectedFault
from agentforge.phase7_adas.drive.messages import Verdict
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US
from agentforge.phase7_adas.drive.recording.record import Recorder
from agentforge.phase7_adas.drive.recording.replay import Replay
from agentforge.phase7_adas.drive.recording.things import Datagrams, Thing, time_us
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.scenarios.faults import STAGE_NAMES
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.v2x.agent import V2x
from agentforge.phase7_adas.drive.v2x.radio import Air
from agentforge.phase7_adas.drive.v2x.receiver import Receiver

HOLE_US = 60_000_000
"""A log with a longer silence is two logs."""
_ROAD: TypeAdapter[Road] = TypeAdapter(Road)
_FAULTS: TypeAdapter[tuple[InjectedFault, ...]] = TypeAdapter(tuple[InjectedFault, ...])


@dataclass
class Compared:
    scenario: str
    seed: int
    code: str
    """That recorded it; empty if the recording does not say."""
    same_code: bool
    ticks: int = 0
    recorded: int = 0
    """Verdicts in the recording."""
    equal: int = 0
    modes: dict[str, int] = field(default_factory=dict)
    """Ticks in each mode, now."""
    first: dict[str, Any] | None = None
    """Where they part: when, what was recorded, what is said now."""

    @property
    def holds(self) -> bool:
        return self.equal == self.recorded


def record(task: Task, path: Path) -> Outcome:
    scenario = varied(task)
    in_stages = tuple(fault for fault in scenario.faults if fault.where in STAGE_NAMES)
    told = {
        "road": _ROAD.dump_json(scenario.road).decode(),
        "lane": str(scenario.ego.lane if scenario.lane is None else scenario.lane),
        "faults": _FAULTS.dump_json(in_stages).decode(),
        "code": code(),
    }
    with Recorder(path, task.scenario, task.seed, told) as recorder:
        return drive(scenario, task.seed, recorder=recorder).outcome


def replay(path: Path) -> Compared:
    reader = Replay(path)
    things = reader.things()
    first = next(things)
    told = reader.metadata
    found = Compared(reader.scenario, reader.seed, told.get("code", ""), told.get("code") == code())
    began_us = (time_us(first) - 1) // TICK_US * TICK_US
    car, air = _car(path, told, began_us), Air()
    radio, modes = V2x(air, Receiver()), Counter[str]()
    said: dict[int, Verdict] = {}
    for t_us, batch in _ticks(first, things, began_us):
        readings = [each for each in batch if not isinstance(each, Truth | Datagrams | Verdict)]
        air.arrived += [one for each in batch if isinstance(each, Datagrams) for one in each.datagrams]
        heard = radio.step(t_us)
        car.arrive(readings)
        tick = car.tick(t_us, heard, radio.events)
        if tick is not None:
            found.ticks += 1
            modes[tick.verdict.mode.name] += 1
            said[t_us] = tick.verdict
        for each in (each for each in batch if isinstance(each, Verdict)):
            _compare(found, each, said.get(each.t_us))
    found.modes = dict(sorted(modes.items()))
    return found


def _car(path: Path, told: dict[str, str], began_us: int) -> Car:
    try:
        road, lane = _ROAD.validate_json(told["road"]), int(told.get("lane", "0"))
        faults = _FAULTS.validate_json(told.get("faults", "[]"))
    except (KeyError, ValueError) as error:
        why = "names no road" if isinstance(error, KeyError) else f"has metadata that say nothing of use: {error}"
        raise InvalidInput(
            f"{path} {why}, and the pipeline drives by its map",
            reason="RECORDING_NOT_OURS",
            field=str(path),
            next_step="Write road and lane into its metadata: agentforge.phase7_adas.drive.recording.channels.",
        ) from None
    return Car(road, lane, faults, began_us=began_us)


def _ticks(first: Thing, rest: Iterator[Thing], began_us: int) -> Iterator[tuple[int, list[Thing]]]:
    t_us, batch = began_us + TICK_US, [first]
    for thing in rest:
        if time_us(thing) - t_us > HOLE_US:
            raise InvalidInput(
                f"nothing was recorded for {(time_us(thing) - t_us) / 1e6:.0f} s from {t_us} us on",
                reason="RECORDING_NOT_OURS",
                next_step="Cut the log there, and replay its parts.",
            )
        while time_us(thing) > t_us:
            yield t_us, batch
            t_us, batch = t_us + TICK_US, []
        batch.append(thing)
    yield t_us, batch


def _compare(found: Compared, was: Verdict, now: Verdict | None) -> None:
    found.recorded += 1
    if now is not None and _bits(was) == _bits(now):
        found.equal += 1
    elif found.first is None:
        told = None if now is None else _told(now)
        found.first = {"t_us": was.t_us, "recorded": _told(was), "now": told}


def _bits(one: Verdict) -> tuple[Any, ...]:
    command = np.array([one.command.accel_mps2, one.command.curvature_per_m])
    return one.t_us, one.mode, one.faults, command.tobytes()


def _told(one: Verdict) -> dict[str, Any]:
    return {
        "mode": one.mode.name,
        **asdict(one.command),
        "faults": [f"{each.code} {each.where}" for each in one.faults],
    }
