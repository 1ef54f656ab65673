"""--nproc, --nnodes, --node-rank, --master: several processes for a phase, here and on other machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.cli.values import parse_settings
from agentforge.kit import machines
from agentforge.kit.errors import InvalidInput

if TYPE_CHECKING:
    from agentforge.v1 import phase_pb2


@dataclass(frozen=True, slots=True)
class Several:
    """`each`: processes of one machine; 0 where it was not said."""

    each: int = 0
    nodes: int = 1
    node: int = 0
    master: str = ""

    @property
    def asked(self) -> bool:
        return self.each > 0 or self.nodes > 1

    @property
    def processes(self) -> int:
        return max(1, self.each) * self.nodes

    @property
    def environment(self) -> str:
        """What a command must be told so that the workers it starts know of the other machines."""
        return _environment(machines.Machines(self.nodes, self.meeting)) if self.nodes > 1 else ""

    def check(self, *, target: str) -> None:
        if self.nodes == 1 and (self.node or self.master):
            raise _conflict("--node-rank and --master are for several machines", "--nnodes", "Give --nnodes, too.")
        if self.nodes > 1 and target:
            step = "Its launcher starts the ranks; give --nproc, or set processes."
            raise _conflict("a running service chooses its own machines", "--nnodes", step)
        if self.node >= self.nodes:
            message = f"machine {self.node} of {self.nodes}: they are counted from 0"
            raise InvalidInput(message, reason="WRONG_NODE_RANK", field="--node-rank")
        if self.master:
            machines.address(self.master)

    def check_further(self, run_id: str) -> None:
        """Of a machine that is not the first."""
        self.check(target="")
        if not (run_id and self.master):
            step = "Give them as the first machine said them, or type what it said."
            raise _conflict("a further machine needs to know the run and where to meet", "--run-id, --master", step)

    @property
    def meeting(self) -> str:
        """Where the machines meet: as given, or an address of this one."""
        if self.master:
            return self.master
        own = machines.address_towards("192.0.2.1")  # of nobody: which way it would go is all that is asked
        if own is None:
            message = "this machine has no way to other machines by which it would know its address"
            raise InvalidInput(message, reason="NO_ADDRESS", field="--master", next_step="Give --master HOST:PORT.")
        return f"{own}:{machines.DEFAULT_PORT}"


ALONE = Several()


def with_processes(settings: Sequence[str], several: Several) -> dict[str, Any]:
    """A phase's settings, and how many processes there are."""
    config = parse_settings(settings)
    if not several.asked:
        return config
    if "processes" in config:
        raise _said_twice("processes")
    return config | {"processes": several.processes}


def with_processes_of_all(
    config: dict[str, dict[str, Any]], each: int, phases: Iterable[phase_pb2.DescribePhaseResponse]
) -> dict[str, dict[str, Any]]:
    """The same for every one of these phases that several processes can work on."""
    said = [phase for phase, values in config.items() if "processes" in values]
    if said:
        raise _said_twice(f"{said[0]}.processes")
    able = [one.name for one in phases if "processes" in one.config_defaults.fields]
    return config | {name: config.get(name, {}) | {"processes": each} for name in able}


@contextmanager
def elsewhere(several: Several, run: Path) -> Iterator[None]:
    """Workers that are started inside know of the other machines; people are told what to type there."""
    if several.nodes == 1:
        yield
        return
    told = {machines.NODES_VARIABLE: str(several.nodes), machines.MASTER_VARIABLE: several.meeting}
    each = max(1, several.each)
    print(f"{several.nodes} machines, {each} processes on each. Type on the others:", file=sys.stderr)
    for node in range(1, several.nodes):
        print(f"  agentforge join {run} --node-rank {node} --master {several.meeting}", file=sys.stderr)
    print("with the same volume (its path there, where it differs) and the same version.", file=sys.stderr)
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def given_environment() -> str:
    """The same, of what this command was told itself."""
    given = machines.Machines.of_environment()
    return "" if given is None else _environment(given)


def _environment(given: machines.Machines) -> str:
    return f"{machines.NODES_VARIABLE}={given.count} {machines.MASTER_VARIABLE}={given.master} "


def _said_twice(field: str) -> InvalidInput:
    return _conflict(f"--nproc and --nnodes say how many processes there are, and so does --set {field}", field)


def _conflict(message: str, field: str, step: str = "Leave one of them out.") -> InvalidInput:
    return InvalidInput(message, reason="CONFLICTING_OPTIONS", field=field, next_step=step)
