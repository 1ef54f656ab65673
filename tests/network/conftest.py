"""Two machines as far as a network goes: namespaces joined by a cable (veth) that can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "10.77.31.1", "10.77.31.2"


@dataclass(frozen=True)
class Cable:
    """`namespaces`: of the first machine and the second."""

    namespaces: tuple[str, str]

    def within(self, machine: int, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespaces[machine], *command]

    def cut(self) -> None:
        self._set("down")

    def heal(self) -> None:
        self._set("up")

    def _set(self, state: str) -> None:
        ip(*self.within(1, "ip", "link", "set", "af1", state)[1:])


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def cable() -> Iterator[Cable]:
    names = (f"af{os.getpid()}a", f"af{os.getpid()}b")
    made = Cable(names)
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the ip tool (Debian's iproute2)")
    try:
        for name in names:
            ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        _remove(names)
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    try:
        ip("link", "add", "af0", "netns", names[0], "type", "veth", "peer", "name", "af1", "netns", names[1])
        for machine, (device, address) in enumerate((("af0", FIRST), ("af1", SECOND))):
            ip(*made.within(machine, "ip", "address", "add", f"{address}/24", "dev", device)[1:])
            for each in ("lo", device):
                ip(*made.within(machine, "ip", "link", "set", each, "up")[1:])
        yield made
    finally:
        _remove(names)


def _remove(names: tuple[str, str]) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=30, check=False)
