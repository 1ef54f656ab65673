"""Containers for tests, as hardened as an operator can make them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
PHASES = ("cognate", "evomerge", "quietstar", "bitnet", "training", "baking", "adas", "compression")
IMAGES = {name: f"agentforge-{name}:latest" for name in (*PHASES, "gateway")}
HARDENED = ("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
LIMITS = ("--memory", "3g", "--pids-limit", "512")
PLACES = ("--tmpfs", "/tmp:mode=1777", "--volume", "/data")
TOKEN = "for-tests"


def docker(*arguments: str, timeout_s: float = 120) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=timeout_s)
    return done.stdout.strip()


class Container:
    """Runs from `with` on; its anonymous volume goes with it."""

    def __init__(self, name: str, image: str, *settings: str, limits: tuple[str, ...] = LIMITS) -> None:
        self.name = name
        token = ("--env", f"AGENTFORGE_TOKEN={TOKEN}")
        self.id = docker("create", *HARDENED, *limits, *PLACES, *token, *settings, image)
        self.began = 0.0

    def __enter__(self) -> Container:
        self.began = time.time()
        try:
            docker("start", self.id)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        docker("rm", "--force", "--volumes", self.id)

    @property
    def state(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.id))
        return told

    @property
    def log(self) -> str:
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def run(self, *command: str, user: str = "10001:10001", timeout_s: float = 120) -> str:
        return docker("exec", "--user", user, self.id, *command, timeout_s=timeout_s)

    def python(self, program: str, timeout_s: float = 120) -> str:
        return self.run("python", "-c", program, timeout_s=timeout_s)

    def healthy_after_s(self, timeout_s: float = 60) -> float:
        """Seconds from `docker start` to the first good answer, asked from outside in the container's network."""
        what = ("http", "127.0.0.1:8080") if self.name == "gateway" else ("grpc", "127.0.0.1:50051")
        asking = [sys.executable, "-m", "tests.images.poll", *what]
        inside = ["timeout", str(timeout_s), "nsenter", "--target", str(self.state["Pid"]), "--net", *asking]
        done = subprocess.run(inside, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, f"{done.returncode} {done.stderr[-2000:]}\n{self.log}"
        return float(done.stdout) - self.began
