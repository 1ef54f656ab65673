"""What a build takes from the machine it runs on: its engine, pip's configuration, apt's sources, its CA."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

LAST_WITHOUT_BUILDX = 22
"""Docker's client has BuildKit in it up to this version, and needs its plugin buildx afterwards."""


def engine() -> str:
    """The first docker on PATH that builds with BuildKit: one with buildx, or one old enough not to need it."""
    for folder in os.environ["PATH"].split(os.pathsep):
        docker = Path(folder, "docker")
        if os.access(docker, os.X_OK) and (_says(docker, "buildx", "version") or _is_old(docker)):
            return str(docker)
    raise SystemExit("no docker with BuildKit is here: install docker-buildx, or Debian 12's docker.io")


def _is_old(docker: Path) -> bool:
    version = _says(docker, "version", "--format", "{{.Client.Version}}")
    return version.partition(".")[0].isdecimal() and int(version.partition(".")[0]) <= LAST_WITHOUT_BUILDX


def _says(docker: Path, *arguments: str) -> str:
    done = subprocess.run([str(docker), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def apt_lines(suite: str) -> list[str]:
    """This machine's sources of one Debian, with its updates, in the one-line format."""
    wanted = "deb $(SITE) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted({line for line in lines if line.split()[2].partition("-")[0] == suite})


@dataclass(frozen=True)
class PipSettings:
    """pip's configuration as the build sees it: folders of this machine are mounted at /wheels there."""

    text: str
    folders: list[Path]
    certificates: Path | None
    left_out: list[str]


def pip_settings() -> PipSettings:
    command = [sys.executable, "-m", "pip", "config", "list"]
    found: dict[str, str] = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        name, _, value = line.partition("=")
        found.setdefault(name.rpartition(".")[2], value.strip("'\""))  # the environment is listed first, and wins
    folders: list[Path] = []
    left_out: list[str] = []
    settings = configparser.RawConfigParser()
    settings["global"] = {}
    for name in ("index-url", "extra-index-url", "find-links", "trusted-host", "timeout", "default-timeout"):
        places = [_seen_inside(place, name, folders, left_out) for place in found.get(name, "").split()]
        if kept := " ".join(filter(None, places)):
            settings["global"][name] = kept
    lines = [f"{name} = {value}" for name, value in settings["global"].items()]
    certificates = Path(found["cert"]) if found.get("cert") else None
    return PipSettings("\n".join(["[global]", *lines, ""]), folders, certificates, left_out)


def _seen_inside(place: str, name: str, folders: list[Path], left_out: list[str]) -> str:
    local = Path(unquote(urlsplit(place).path)) if place.startswith("file:") else Path(place)
    if not local.is_absolute() or not local.exists():
        return place
    if name != "find-links":  # an index is gigabytes: what the build needs of it goes into a folder of wheels
        left_out.append(place)
        return ""
    folders.append(local)
    return f"/wheels/{len(folders) - 1}"
