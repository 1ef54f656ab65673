"""What `agentforge join` does on a machine that is not the first: its ranks of one run, attempt after attempt.

The first machine's supervisor decides whether there is another attempt; here one only goes along.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentforge.kit import machines
from agentforge.kit.errors import FailedPrecondition, InvalidInput, Unavailable
from agentforge.kit.machines import Told
from agentforge.kit.phase import PhaseSpec, load_object
from agentforge.kit.ranks import Ranks
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.state import RunSummary
from agentforge.kit.team import start_ranks, tcp_meeting

_LOOK_S = 0.5  # between two looks at the run's state, which is on the shared volume


@dataclass(frozen=True, slots=True)
class Place:
    """`each`: processes of one machine, where the user said it; 0: as the leader says."""

    run: RunDirectory
    node: int
    master: str
    each: int = 0


def join(place: Place, say: Callable[[str], None]) -> RunSummary:
    """Until the run is final: its last state. Raises where this machine cannot take part, or nobody leads."""
    host, port = machines.address(place.master)
    check_run(place.run)
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        message = f"{host!r} is no machine that is known here: {error}"
        raise InvalidInput(message, reason="BAD_ADDRESS", field="--master") from None
    machines.choose_interface(host)
    last, waiting_since = 0, time.monotonic()
    say(f"waits for the first machine at {place.master}")
    while not (found := state_of(place.run)).final:
        attempt = _met(place, last)
        if attempt is None:
            if time.monotonic() - waiting_since > machines.gather_s():
                raise _nobody(place)
            time.sleep(_LOOK_S)
            continue
        last = attempt
        _work(place, attempt, say)
        waiting_since = time.monotonic()
    return found


def check_run(run: RunDirectory) -> None:
    """What can be told without the leader."""
    request = run.request()
    if (found := state_of(run)).final:
        message = f"run {run.run_id} of phase {run.phase} is over: {found.state.removeprefix('RUN_STATE_')}"
        raise FailedPrecondition(
            message, reason="RUN_IS_FINAL", field="run", next_step="Start a run, then join it."
        )
    if int(request.config.get("processes", 1)) == 1:
        message = f"run {run.run_id} of phase {run.phase} was asked for with one process"
        raise InvalidInput(message, reason="WRONG_WORLD_SIZE", field="processes")


def check_told(place: Place, told: Told) -> None:
    """Whether who leads at the address leads this run, by the same code, and has room for this machine."""
    run = place.run
    if (told.run_id, told.phase) != (run.run_id, run.phase):
        message = f"{place.master} leads run {told.run_id} of {told.phase}, not {run.run_id} of {run.phase}"
        raise InvalidInput(
            message, reason="ANOTHER_RUN", field="--master", next_step="Give the address of this run."
        )
    request = run.request()
    spec: PhaseSpec = load_object(request.entry)
    if told.code_digest != spec.code_digest:
        message = f"the first machine runs other code of phase {run.phase} than this one"
        step = "Install the same version of agentforge on every machine."
        raise FailedPrecondition(message, reason="OTHER_CODE", field=run.phase, next_step=step)
    nodes = told.processes // told.each
    if place.each not in (0, told.each):
        message = f"this machine was asked for {place.each} processes; the run has {told.each} on each machine"
        raise InvalidInput(message, reason="WRONG_WORLD_SIZE", field="--nproc", next_step=f"Say {told.each}.")
    if not 1 <= place.node < nodes:
        message = f"machine {place.node} has no part in this run: it has {nodes} machines, of which 0 is the first"
        raise InvalidInput(message, reason="WRONG_NODE_RANK", field="--node-rank")


def state_of(run: RunDirectory) -> RunSummary:
    return RunSummary.of_log(run.log_path)


def _met(place: Place, last: int) -> int | None:
    """The attempt that is open to this machine; None while there is none."""
    try:
        store = machines.reach_store(place.master)
        told = machines.told_by(store)
        if told.attempt == last:
            return None
        check_told(place, told)
        taken = store.add(f"machine/{place.node}", 1) > 1
    except (OSError, RuntimeError):  # not there yet, or just gone
        return None
    return None if taken else told.attempt


def _work(place: Place, attempt: int, say: Callable[[str], None]) -> None:
    """This machine's ranks for one attempt, to their ends. One that is lost ends the others."""
    told = machines.told_by(machines.reach_store(place.master))
    first = Ranks(place.node * told.each, told.processes, 0, told.each)
    say(f"attempt {attempt}: ranks {first.rank} to {first.rank + told.each - 1} of {told.processes} start")
    started = start_ranks(place.run, first, tcp_meeting(place.master, attempt))
    try:
        codes = _ended(started)
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    if any(codes):
        _tell(place, attempt, f"its ranks ended with exit codes {codes}; see there")
        say(f"attempt {attempt}: ranks ended with exit codes {codes}")


def _ended(started: Mapping[int, subprocess.Popen[bytes]]) -> list[int]:
    while True:
        codes = [process.poll() for process in started.values()]
        known = [code for code in codes if code is not None]
        if any(known) or len(known) == len(codes):
            return known
        time.sleep(0.1)


def _tell(place: Place, attempt: int, why: str) -> None:
    """The leader, if it still waits for all to come. By now it may be that of the next attempt."""
    try:
        store: Any = machines.reach_store(place.master)
        machines.cannot_come(store, place.node, attempt, why)
    except (OSError, RuntimeError):
        return


def _nobody(place: Place) -> Unavailable:
    message = (
        f"nobody led run {place.run.run_id} of {place.run.phase} at {place.master} for {machines.gather_s():g} s"
    )
    step = "Start or resume it on the first machine, check the address and what lies between; then join again."
    return Unavailable(message, reason="NO_LEADER", field="--master", next_step=step)
