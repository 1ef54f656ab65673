"""What is installed: the packages that this distribution declares, torch's build, the gateway's database."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_DISTRIBUTION = "agentforge"
_TORCH_PROBE = """
import json, torch
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(json.dumps([torch.__version__, torch.version.cuda, torch.cuda.is_available(), gpus]))
"""


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    status: str
    fact: str
    next_step: str = ""


def packages() -> Iterator[Fact]:
    """Python, and each extra with its packages and versions."""
    yield Fact("python", "ok", f"{platform.python_version()} ({sys.executable})")
    try:
        declared = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Fact("packages", "warn", "agentforge runs from its sources, not installed", "pip install -e '.[all]'")
        return
    yield _extra("packages", "", declared)
    for extra in ("learn", "data", "gateway", "postgres"):
        yield _extra(f"[{extra}]", extra, declared)


def _extra(label: str, extra: str, declared: list[str]) -> Fact:
    """One line for the packages of an extra; the base's absence is a failure, an extra's is a choice."""
    here, wrong = [], []
    for requirement in declared:
        name, floor, of_extra = _parse(requirement)
        if of_extra != extra:
            continue
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} missing")
            continue
        here.append(f"{name} {version}")
        if floor and _numbers(version) < _numbers(floor):
            wrong.append(f"{name} is older than {floor}")
    command = f"pip install 'agentforge[{extra}]'" if extra else "pip install --upgrade agentforge"
    if wrong:
        return Fact(label, "warn" if extra else "fail", "; ".join(wrong), command)
    return Fact(label, "ok", ", ".join(here))


def _parse(requirement: str) -> tuple[str, str, str]:
    """ "fastapi>=0.115; extra == 'gateway'" as ("fastapi", "0.115", "gateway")."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, f"no requirement: {requirement!r}"
    floor = re.search(r"[>=]=([0-9.]+)", requirement.partition(";")[0])
    extra = re.search(r"extra == ['\"]([a-z-]+)['\"]", requirement)
    return name.group(), floor.group(1) if floor else "", extra.group(1) if extra else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])


def probe_torch() -> Fact:
    """Asked in another process: importing torch here would cost this one seconds and memory."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Fact("torch", "warn", "not installed: no phase can learn here", "pip install 'agentforge[learn]'")
    try:
        probe = subprocess.run([sys.executable, "-c", _TORCH_PROBE], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return Fact("torch", "fail", f"{version}: its import did not end within 120 s", "Install it again.")
    if probe.returncode != 0:
        last = (probe.stderr.strip().splitlines() or ["no message"])[-1]
        return Fact("torch", "fail", f"{version} cannot be imported: {last}", "pip install --force-reinstall torch")
    version, cuda, available, gpus = json.loads(probe.stdout)
    if available:
        return Fact("torch", "ok", f"{version}, CUDA {cuda}: {', '.join(gpus)}")
    if cuda:
        return Fact("torch", "warn", f"{version} (CUDA {cuda} build), no GPU found", "Check with nvidia-smi.")
    return Fact("torch", "ok", f"{version} (CPU build)")


def probe_database() -> Fact:
    """Opens the gateway's database; where none exists yet, makes one beside its place and removes it again."""
    try:
        from agentforge_gateway import database
        from agentforge_gateway.settings import GatewaySettings
    except ImportError as error:
        hint = "pip install 'agentforge[gateway]'"
        return Fact("database", "warn", f"no gateway here ({error.name} is missing)", hint)
    import asyncio
    import tempfile
    from pathlib import Path

    from sqlalchemy.engine import make_url

    from agentforge.kit.errors import ForgeError

    async def opens(url: str, *, new: bool) -> None:
        engine = database.open_engine(url)
        try:
            await (database.migrate(engine) if new else database.ping(engine))
        finally:
            await engine.dispose()

    try:
        settings = GatewaySettings()
        place = make_url(settings.url)
        shown = place.render_as_string(hide_password=True)
        if place.drivername.startswith("sqlite") and not Path(place.database or "").exists():
            with tempfile.TemporaryDirectory(prefix=".doctor-", dir=settings.home) as directory:
                asyncio.run(opens(f"sqlite+aiosqlite:///{directory}/probe.db", new=True))
            return Fact("database", "ok", f"none yet; a new one can be made at {place.database}")
        asyncio.run(opens(settings.url, new=False))
    except ForgeError as error:
        return Fact("database", "fail", error.message, error.next_step)
    except Exception as error:  # each database driver has exceptions of its own
        hint = "Start the database or correct AGENTFORGE_DATABASE_URL."
        return Fact("database", "fail", f"{type(error).__name__}: {str(error).splitlines()[0]}", hint)
    return Fact("database", "ok", f"{shown} opens")
