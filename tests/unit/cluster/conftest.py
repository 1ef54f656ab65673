"""A real PhaseServer that launches Jobs on the fake cluster; its workers are real processes."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip(
    "kubernetes", reason="the kubernetes client is not installed: pip install 'agentforge[cluster]'"
)
pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed; it checks what is sent")

from agentforge.client import PhaseClient
from agentforge.kit.cluster import KubernetesLauncher
from agentforge.kit.cluster.api import Connection
from agentforge.kit.cluster.settings import ClusterSettings
from agentforge.kit.phase import Pipeline
from agentforge.kit.serve.server import PhaseServer, ServerSettings
from agentforge.kit.supervise import SupervisorSettings
from tests.fakes.kubernetes_api import FakeCluster

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0
PIPELINE = Pipeline(
    *(f"tests.phases.{name}:SPEC" for name in ("echo", "count", "fail", "team")),
    presets=ROOT / "tests/phases/presets",
)
TEMPLATE: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"labels": {"app.kubernetes.io/instance": "trial"}},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "worker",
                        "image": "agentforge-count:test",
                        "resources": {"limits": {"memory": "512Mi"}},
                    }
                ],
            }
        }
    },
}
QUICK = ClusterSettings(
    TEMPLATE, "forge", pending_timeout_s=60, pending_words_s=0.1, look_s=0.1, linger_s=1.0, lock_wait_s=10
)
T = TypeVar("T")


class Service:
    """Started and stopped from the test's thread; what it does happens on its own event loop."""

    def __init__(self, home: Path, phase: str, url: str, settings: ClusterSettings, token: Path | None) -> None:
        self._sockets = tempfile.TemporaryDirectory(prefix="af-")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.client = PhaseClient(f"unix:{self._sockets.name}/s")
        try:
            self.server = self._call(self._start(home, phase, url, settings, token))
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """As when its pod is replaced: Jobs go on."""
        self._call(self.server.stop(1))
        self._end()

    def _end(self) -> None:
        self.client.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._sockets.cleanup()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    async def _start(
        self, home: Path, phase: str, url: str, settings: ClusterSettings, token: Path | None
    ) -> PhaseServer:
        launcher = KubernetesLauncher(settings, Connection(url, token=token))
        quick = SupervisorSettings(grace_s=10, poll_s=0.02, backoff_s=0.05)
        server = PhaseServer(
            PIPELINE.spec(phase), home, f"unix:{self._sockets.name}/s",
            settings=ServerSettings(supervisor=quick), pipeline=PIPELINE, launcher=launcher,
        )  # fmt: skip
        await server.start()
        return server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "volume"


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    fake = FakeCluster().start()
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    fake.controllers.kubelet.environment = {"PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    yield fake
    fake.close()


@pytest.fixture
def serve(home: Path, cluster: FakeCluster) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(phase: str = "count", *, token: Path | None = None, **settings: Any) -> Service:
        made.append(Service(home, phase, cluster.url, replace(QUICK, **settings), token))
        stop = made[-1].stop
        made[-1].stop = lambda: made.clear() or stop()  # type: ignore[method-assign, func-returns-value]
        return made[-1]

    yield make
    for service in list(made):
        service.stop()


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.02)


def nothing_left(cluster: FakeCluster) -> bool:
    return not any(cluster.names(plural) for plural in ("jobs", "pods", "services"))
