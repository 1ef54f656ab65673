"""deploy/compose.yaml, brought up under a project name of its own and taken down with its volumes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import httpx

from tests.harness import ROOT

FILE = ROOT / "deploy/compose.yaml"
PHASES = ("cognate", "evomerge", "quietstar", "bitnet", "training", "baking", "adas", "compression")
PREFIX = os.environ.get("AGENTFORGE_IMAGE_PREFIX", "agentforge")
IMAGES = [f"{PREFIX}-{name}:latest" for name in ("gateway", *PHASES)]
POSTGRES = "agentforge-postgres-for-tests:latest"
FINAL = ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED", "RUN_STATE_CANCELLED")


def compose_command() -> list[str]:
    """Compose v2 where docker has it, else docker-compose; empty where there is neither."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and _works([*command, "version"]):
            return command
    return []


def missing() -> str:
    """What this machine lacks for the tests; empty when it lacks nothing."""
    if not shutil.which("docker") or not _works(["docker", "info"]):
        return "no container engine answers (docker info)"
    if not compose_command():
        return "neither `docker compose` nor docker-compose is installed"
    absent = [image for image in IMAGES if not _works(["docker", "image", "inspect", image])]
    if absent:
        return f"{len(absent)} of nine images are not built, among them {absent[0]}: make images"
    return ""


class Stack:
    def __init__(self, **settings: str) -> None:
        self.token = secrets.token_hex(16)
        self.port = _free_port()
        self._compose = [*compose_command(), "-p", f"aftest{os.getpid()}", "-f", str(FILE)]
        self._environment = os.environ | {
            "AGENTFORGE_TOKEN": self.token,
            "POSTGRES_PASSWORD": secrets.token_hex(16),
            "AGENTFORGE_POSTGRES_IMAGE": POSTGRES,
            "AGENTFORGE_HTTP_PORT": str(self.port),
            **settings,
        }
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
        )

    def up(self) -> float:
        """Seconds until all ten containers are healthy."""
        begun = time.monotonic()
        self.compose("up", "--detach")
        for name in ("postgres", *PHASES, "gateway"):
            self.wait_healthy(name)
        return time.monotonic() - begun

    def down(self) -> None:
        self.client.close()
        self.compose("down", "--volumes", "--timeout", "10")

    def compose(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._compose, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def container(self, service: str) -> str:
        found = self.compose("ps", "-q", service).split()
        assert len(found) == 1, f"{service}: {found}"
        return found[0]

    def inspect(self, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.container(service)))
        return found[0]

    def wait_healthy(self, service: str, timeout_s: float = 300) -> None:
        deadline = time.monotonic() + timeout_s
        while (state := self.inspect(service)["State"])["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline, f"{service}: {state}\n{self.log(service)}"
            time.sleep(0.5)

    def log(self, service: str) -> str:
        done = subprocess.run(
            ["docker", "logs", "--tail", "60", self.container(service)], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def kill(self, service: str) -> None:
        """SIGKILL to the container: its service and all workers are gone at once. Docker then leaves it down."""
        docker("kill", "--signal", "KILL", self.container(service))
        assert not self.inspect(service)["State"]["Running"]

    def start(self, service: str) -> None:
        docker("start", self.container(service))

    def crash(self, service: str) -> None:
        """Its first process dies of SIGKILL, as of a fault of its own: bringing it back is the restart policy's."""
        before = self.inspect(service)
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        deadline = time.monotonic() + 60
        while self.inspect(service)["RestartCount"] == before["RestartCount"]:
            assert time.monotonic() < deadline, self.inspect(service)["State"]
            time.sleep(0.1)

    def execute(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "exec", self.container(service), *command], capture_output=True, text=True, check=False
        )


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def build_postgres() -> None:
    if not _works(["docker", "image", "inspect", POSTGRES]):
        subprocess.run([sys.executable, "-m", "deploy.postgres_for_tests"], cwd=ROOT, check=True)
