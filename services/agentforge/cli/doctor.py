"""`agentforge doctor`: what is here, what is missing, and what to do about it. Nothing is assumed."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from agentforge.cli.installed import packages
from agentforge.cli.machine import cpu_count, disk_free_bytes, memory_bytes, size_text

_LITTLE_DISK = 2 << 30  # bytes; below it checkpoints of the full preset do not fit
_LITTLE_MEMORY = 1 << 30  # bytes; torch alone takes 300 MB in a worker


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    status: str  # "ok", "warn" or "fail"
    fact: str
    next_step: str = ""


def examine(*, as_json: bool) -> int:
    """Print every finding; exit code 2 when one of them is a failure."""
    findings: list[Finding] = []
    for check in _CHECKS:
        found = list(check())
        findings += found
        if not as_json:
            _print(found)
    failed = sum(finding.status == "fail" for finding in findings)
    if as_json:
        verdict = "fail" if failed else "warn" if any(f.status == "warn" for f in findings) else "ok"
        print(json.dumps({"status": verdict, "findings": [asdict(f) for f in findings]}, indent=2))
    elif failed:
        print(f"{failed} failed")
    return 2 if failed else 0


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{finding.status:<5} {finding.name:<16} {finding.fact}", flush=True)
        if finding.next_step:
            print(f"{'':<22} next: {finding.next_step}", flush=True)


def _packages() -> Iterable[Finding]:
    for package in packages():
        yield Finding(package.name, package.status, package.fact, package.next_step)


def _torch() -> Iterable[Finding]:
    from agentforge.cli.installed import probe_torch

    found = probe_torch()
    yield Finding("torch", found.status, found.fact, found.next_step)


def _pipeline() -> Iterable[Finding]:
    from agentforge.kit.errors import ForgeError
    from agentforge.kit.phase import load_pipeline

    try:
        pipeline = load_pipeline()
        names, presets = pipeline.names, sorted(pipeline.presets)
    except ForgeError as error:
        yield Finding("pipeline", "fail", error.message, error.next_step)
    except Exception as error:  # a phase's own module may be broken in any way
        hint = "Correct the phase's module, or its line in pipeline.py."
        yield Finding("pipeline", "fail", f"{type(error).__name__}: {error}", hint)
    else:
        fact = f"phases: {', '.join(names) or 'none built yet'}; presets: {', '.join(presets) or 'none'}"
        yield Finding("pipeline", "ok" if names else "warn", fact)


def _machine() -> Iterable[Finding]:
    yield Finding("cpu", "ok", f"{cpu_count()} usable")
    total, available = memory_bytes()
    if not total:
        yield Finding("memory", "warn", "this system does not say how much it has")
        return
    fact = f"{size_text(available)} available of {size_text(total)}"
    little = available < _LITTLE_MEMORY
    yield Finding("memory", "warn" if little else "ok", fact, "Close other programs." if little else "")


def _home() -> Iterable[Finding]:
    from agentforge.kit.paths import home

    place = home()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as directory:
            probe = Path(directory, "probe")
            with probe.open("wb") as file:
                file.write(os.urandom(1 << 16))
                file.flush()
                os.fsync(file.fileno())
            probe.replace(probe.with_name("renamed"))
    except OSError as error:
        hint = "Make it writable, or set AGENTFORGE_HOME to a directory that is."
        yield Finding("home", "fail", f"{place} cannot be written: {error.strerror}", hint)
        return
    yield Finding("home", "ok", f"{place} (64 KiB written, synced and renamed)")
    free = disk_free_bytes(place)
    little = free < _LITTLE_DISK
    hint = "Free some space, or set AGENTFORGE_HOME to another disk." if little else ""
    yield Finding("disk", "warn" if little else "ok", f"{size_text(free)} free in {place}", hint)


def _sockets() -> Iterable[Finding]:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
        with tempfile.TemporaryDirectory(prefix="af-") as directory, socket.socket(socket.AF_UNIX) as local:
            local.bind(f"{directory}/s")
            local.listen()
    except OSError as error:
        hint = "Allow sockets on 127.0.0.1 and in the temporary directory (TMPDIR)."
        yield Finding("sockets", "fail", f"cannot listen: {error}", hint)
    else:
        yield Finding("sockets", "ok", "TCP on 127.0.0.1 and a unix socket listen")


def _sandbox() -> Iterable[Finding]:
    """Of Python that models write; where it cannot be locked in, it is not run."""
    from agentforge.kit.errors import ForgeError
    from agentforge.tools.sandbox import protection

    try:
        layers = protection()
    except ForgeError as error:
        yield Finding("sandbox", "warn", error.message, error.next_step)
    else:
        missing = [layer for layer, holds in layers.items() if not holds]
        fact = f"{', '.join(layer for layer, holds in layers.items() if holds)} hold"
        yield Finding("sandbox", "ok", fact + (f"; without {', '.join(missing)}" if missing else ""))


def _database() -> Iterable[Finding]:
    from agentforge.cli.installed import probe_database

    found = probe_database()
    yield Finding("database", found.status, found.fact, found.next_step)


_CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    _packages,
    _torch,
    _pipeline,
    _machine,
    _home,
    _database,
    _sockets,
    _sandbox,
)
