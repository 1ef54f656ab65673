"""Several machines with one volume, started by hand: where they meet, and what they tell each other there.

Rank 0's worker opens a TCP store at HOST:PORT, says there which run this is, and waits until every rank has come.
Whoever can reach the port can disturb the run: it belongs into a network of your own.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from fcntl import ioctl
from typing import Any, Self

from agentforge.kit.errors import InvalidInput, RunFailed, Unavailable
from agentforge.kit.ranks import Ranks

NODES_VARIABLE = "AGENTFORGE_NODES"
"""Environment of the worker: on how many machines its ranks work, and where they meet (HOST:PORT)."""
MASTER_VARIABLE = "AGENTFORGE_MASTER"
GATHER_VARIABLE = "AGENTFORGE_GATHER_S"
"""And how long it waits for the other machines, in seconds."""
INTERFACE_VARIABLE = "GLOO_SOCKET_IFNAME"
DEFAULT_PORT = 29400
_GATHER_S = 600.0
_PATIENCE = timedelta(seconds=10)  # of one question to the store
_TEAM = "team"
_SIOCGIFADDR = 0x8915


@dataclass(frozen=True, slots=True)
class Machines:
    count: int
    master: str

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """None: all ranks are of this machine."""
        count = int(environment.get(NODES_VARIABLE) or 1)
        return cls(count, environment[MASTER_VARIABLE]) if count > 1 else None


@dataclass(frozen=True, slots=True)
class Told:
    """What the leader says of itself."""

    run_id: str
    phase: str
    code_digest: str
    attempt: int
    processes: int
    each: int  # processes of one machine


def gather_s() -> float:
    return float(os.environ.get(GATHER_VARIABLE) or _GATHER_S)


def address(master: str) -> tuple[str, int]:
    host, colon, port = master.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        message = f"{master!r} is no HOST:PORT"
        raise InvalidInput(message, reason="BAD_ADDRESS", field="--master", next_step="For example: 10.0.0.1:29400")
    return host.strip("[]"), int(port)


def distributed() -> Any:
    """Where stores are; its stubs do not say so."""
    import torch

    return torch.distributed


def open_store(master: str, told: Told) -> Any:
    """By rank 0's worker."""
    dist = distributed()

    host, port = address(master)
    try:
        store = dist.TCPStore(host, port, None, True, _PATIENCE, wait_for_workers=False)
    except RuntimeError as error:
        message = f"no meeting place could be opened at {master}: {' '.join(str(error).split())[:200]}"
        step = "Give an address of this machine and a port that is free."
        raise InvalidInput(message, reason="ADDRESS_NOT_USABLE", field="--master", next_step=step) from error
    store.set(_TEAM, json.dumps(asdict(told)))
    return store


def reach_store(master: str) -> Any:
    """By every other rank and machine; OSError or RuntimeError where nobody answers."""
    host, port = address(master)
    with socket.create_connection((host, port), timeout=5.0):  # the store's own tries take a minute
        pass
    return distributed().TCPStore(host, port, None, False, _PATIENCE, wait_for_workers=False)


def told_by(store: Any) -> Told:
    return Told(**json.loads(store.get(_TEAM)))


def come(store: Any, own: Ranks, attempt: int) -> None:
    """Before a rank joins. Each attempt has a store of its own, all at one address: it may be another by now."""
    if (found := told_by(store).attempt) != attempt:
        message = f"rank {own.rank} was started for attempt {attempt}; this is attempt {found}"
        raise Unavailable(message, reason="ATTEMPT_OVER", next_step="Nothing: it is started again.")
    if store.add(f"here/{own.rank}", 1) > 1:
        message = f"rank {own.rank} has come to this attempt already"
        raise Unavailable(message, reason="RANK_TAKEN", next_step="Give each machine a --node-rank of its own.")


def cannot_come(store: Any, node: int, attempt: int, why: str) -> None:
    store.set(f"left/{attempt}/{node}", why)


def gather(store: Any, own: Ranks, attempt: int, asked_to_stop: Callable[[], bool]) -> bool:
    """By rank 0: until every rank has come. False where it was asked to stop first."""
    deadline = time.monotonic() + gather_s()
    while missing := [rank for rank in range(1, own.world) if not store.check([f"here/{rank}"])]:
        if asked_to_stop():
            return False
        _raise_if_left(store, own, attempt)
        if time.monotonic() > deadline:
            names = ", ".join(map(str, missing))
            message = f"ranks {names} of {own.world} did not come within {gather_s():g} s"
            step = "Type `agentforge join` on each other machine, as the start of the run says it; then resume."
            raise RunFailed(message, reason="TEAM_INCOMPLETE", field="--nnodes", next_step=step)
        time.sleep(0.1)
    return True


def _raise_if_left(store: Any, own: Ranks, attempt: int) -> None:
    for node in range(1, own.world // own.local_world):
        if store.check([left := f"left/{attempt}/{node}"]):
            message = f"machine {node} cannot take part: {store.get(left).decode()}"
            raise RunFailed(message, reason="TEAM_INCOMPLETE", next_step="Mend it there, join again and resume.")


def choose_interface(host: str) -> None:
    """For gloo, which else takes the address of this machine's name, often 127.0.0.1. What is set stays."""
    if not os.environ.get(INTERFACE_VARIABLE) and (name := interface_towards(host)):
        os.environ[INTERFACE_VARIABLE] = name


def interface_towards(host: str) -> str | None:
    """The network interface by which this machine reaches the host; None where that cannot be told (IPv6)."""
    own = address_towards(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has no address
                continue
            if socket.inet_ntoa(answer[20:24]) == own:
                return name
    return None


def address_towards(host: str) -> str | None:
    """This machine's IPv4 address on the way there. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])
