"""The sandbox as on a machine that forbids some of its layers: to measure what the others hold by themselves."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agentforge.tools.sandbox.child import filter_calls
from agentforge.tools.sandbox.seccomp import ABIS, refusing

T = TypeVar("T")

# Without them no namespaces, and root stays root.
LAYERS: Mapping[str, tuple[int, ...]] = {"x86_64": (272, 116), "aarch64": (97, 159)}  # unshare, setgroups
# Without it no filter of system calls, so no sandbox.
PRCTL: Mapping[str, tuple[int, ...]] = {"x86_64": (157,), "aarch64": (167,)}


def without(calls: Mapping[str, tuple[int, ...]], work: Callable[[], T]) -> T:
    """In a thread of its own, as a filter stays as long as its thread: what that starts lacks the calls too."""

    def filtered() -> T:
        machine = platform.machine()
        filter_calls(refusing(ABIS[machine], calls[machine]))
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(filtered).result()
