"""A real phase service on a unix socket, in a thread of the test's process; its workers are real processes."""

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agentforge.client import PhaseClient
from agentforge.kit.events import EventLog
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.kit.serve.server import PhaseServer, ServerSettings
from agentforge.kit.serve.tls import TlsFiles
from agentforge.kit.supervise import SupervisorSettings
from tests.phases.pipeline import PIPELINE

ROOT = Path(__file__).parents[3]
QUICK = SupervisorSettings(grace_s=5, poll_s=0.02, backoff_s=0.05)
T = TypeVar("T")


class Service:
    """Started and stopped from the test's thread; what it does happens on its own event loop."""

    def __init__(self, home: Path, phase: str, listen: str, tls: TlsFiles | None, settings: ServerSettings) -> None:
        self.home = home
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = self.call(self._make(phase, listen, tls, settings))
        self.call(self.server.start())
        self.target = self.server.target

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def client(self, **options: Any) -> PhaseClient:
        return PhaseClient(self.target, **options)

    def tasks(self) -> int:
        async def count() -> int:
            return len(asyncio.all_tasks())

        return self.call(count())

    def stop(self) -> None:
        self.call(self.server.stop(2))

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _make(self, phase: str, listen: str, tls: TlsFiles | None, settings: ServerSettings) -> PhaseServer:
        spec = PIPELINE.spec(phase)
        return PhaseServer(spec, self.home, listen, tls=tls, settings=settings, pipeline=PIPELINE)


@pytest.fixture(autouse=True)
def _workers_find_the_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AGENTFORGE_PIPELINE", "tests.phases.pipeline")
    monkeypatch.delenv("AGENTFORGE_TOKEN", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "volume"


@pytest.fixture
def socket() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="af-") as short:  # socket paths hold about 100 bytes
        yield f"unix:{short}/s"


@pytest.fixture
def serve(home: Path, socket: str) -> Iterator[Callable[..., Service]]:
    """Makes services; all are stopped at the end, their workers too."""
    made: list[Service] = []

    def make(
        phase: str = "echo", *, listen: str = socket, tls: TlsFiles | None = None, token: str = "",
        heartbeat_s: float = 10.0, interrupt_workers: bool = True, **sides: str,
    ) -> Service:  # fmt: skip
        settings = ServerSettings(token, heartbeat_s, interrupt_workers, supervisor=QUICK, **sides)
        made.append(Service(home, phase, listen, tls, settings))
        return made[-1]

    yield make
    for service in made:
        service.close()


@pytest.fixture
def service(serve: Callable[..., Service]) -> Service:
    return serve()


@pytest.fixture
def client(service: Service) -> Iterator[PhaseClient]:
    with service.client() as client:
        yield client


class WrittenRun:
    """A run whose log the test writes; it holds the LOCK, so no service gives it a worker."""

    def __init__(self, home: Path, run_id: str, phase: str = "echo") -> None:
        self.directory = RunDirectory(home, run_id, phase)
        self.directory.create(RunRequest(run_id, phase, (), {}, "code", f"tests.phases.{phase}:SPEC"))
        lock = self.directory.try_lock()
        assert lock is not None
        self._lock = lock
        self.log: EventLog = self.directory.open_log()

    def say(self, *messages: str) -> None:
        from agentforge.kit.events import Entry

        self.log.append_batch([Entry("log", {"level": "LEVEL_INFO", "message": m}, 1) for m in messages])

    def state(self, state: str) -> None:
        self.log.append("state_changed", {"state": f"RUN_STATE_{state}", "reason": ""}, 1)

    def close(self) -> None:
        self.log.close()
        os.close(self._lock)


@pytest.fixture
def written(home: Path) -> Iterator[Callable[..., WrittenRun]]:
    made: list[WrittenRun] = []

    def make(run_id: str = "r") -> WrittenRun:
        home.mkdir(parents=True, exist_ok=True)
        made.append(WrittenRun(home, run_id))
        return made[-1]

    yield make
    for run in made:
        run.close()
