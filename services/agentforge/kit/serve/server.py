"""The process around PhaseService: port, health, reflection, adoption of unfinished runs, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from agentforge.kit.files import disk_errors
from agentforge.kit.launch import Launcher, launcher_of_environment
from agentforge.kit.phase import PhaseSpec, Pipeline, load_pipeline
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.serve.census import RunCensus
from agentforge.kit.serve.health_port import HealthPort, bind
from agentforge.kit.serve.interceptor import Gate, Observe
from agentforge.kit.serve.servicer import PhaseServicer
from agentforge.kit.serve.tls import TlsFiles
from agentforge.kit.serve.token import service_token
from agentforge.kit.serve.watch import HEARTBEAT_S, Tails
from agentforge.kit.supervise import RunSupervisor, SupervisorSettings
from agentforge.v1 import phase_pb2
from agentforge.v1.phase_pb2_grpc import add_PhaseServiceServicer_to_server

if TYPE_CHECKING:
    from agentforge.kit.serve.metrics import PhaseMetrics

SERVICE = phase_pb2.DESCRIPTOR.services_by_name["PhaseService"].full_name
_MAX_REQUEST_BYTES = 4 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", 64 << 20),  # one event may be large; the log holds what the worker wrote
    ("grpc.so_reuseport", 0),  # else two services share a port, and each gets half of the calls
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
log = logging.getLogger("agentforge.serve")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`token`: what callers must present as "authorization: Bearer …"; empty: everybody may call."""

    token: str = field(default_factory=service_token, repr=False)
    heartbeat_s: float = HEARTBEAT_S  # silence of a watch stream after which a heartbeat is sent
    interrupt_workers: bool = False  # at stop: True has them write a checkpoint and end, False lets them run on
    adopt: bool = True  # at start: take up all unfinished runs of the volume; a command of one user must not
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    health_listen: str = ""  # health alone, without TLS, for probes; empty: not
    metrics_listen: str = ""  # /metrics for Prometheus, over plain HTTP; empty: not
    private: str = ""  # one more address without TLS: a unix socket for the gateway in the same process


class PhaseServer:
    """One phase's service. `listen` is "host:port" (port 0: any free one) or "unix:path"."""

    def __init__(
        self,
        spec: PhaseSpec,
        home: Path,
        listen: str,
        *,
        tls: TlsFiles | None = None,
        settings: ServerSettings | None = None,
        pipeline: Pipeline | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        self.spec = spec
        self.home = home
        self.target = listen  # after start(): with the true port
        self._listen = listen
        self._tls = tls
        self._settings = settings or ServerSettings()
        self._pipeline = pipeline or load_pipeline()
        self._launcher = launcher or launcher_of_environment()
        self.health_target = self.metrics_target = ""  # after start(): where they listen, if they do
        self._health_port: HealthPort | None = None
        self._metrics: PhaseMetrics | None = None
        self._stopped = asyncio.Event()
        self._stopping = False

    @property
    def watchers(self) -> int:
        """Streams of WatchRun that are open now."""
        return self._tails.watchers

    async def start(self) -> None:
        """Serve. On return calls are answered; unfinished runs of the phase are taken up in the background."""
        with disk_errors(self.home):
            self.home.mkdir(parents=True, exist_ok=True)
        await self._launcher.ready(self.home, self.spec.name)
        self._tails = Tails(self._settings.heartbeat_s)
        observe, on_start = self._measure() if self._settings.metrics_listen else (None, None)
        self._supervisor = RunSupervisor(self._launcher, self._settings.supervisor, on_start)
        self._servicer = PhaseServicer(self.spec, self._pipeline, self.home, self._supervisor, self._tails)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(interceptors=[Gate(self._settings.token, observe=observe)], options=_OPTIONS)
        add_PhaseServiceServicer_to_server(self._servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        credentials = self._tls.server_credentials() if self._tls else None
        try:
            await self._listen_everywhere(credentials)
        except BaseException:
            await self._launcher.close()
            await self._stop_sides()
            raise
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._adoption = asyncio.create_task(self._adopt(), name="adopt runs")
        log.info("phase %s listens on %s, volume %s", self.spec.name, self.target, self.home)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Drain: not healthy, watch streams end with a hint to resume, open calls get `grace_s` to finish."""
        if self._stopping:
            await self._stopped.wait()
            return
        self._stopping = True
        await self._health.enter_graceful_shutdown()
        self._tails.end_all()
        await self._server.stop(grace_s)
        self._adoption.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._adoption
        await self._servicer.close()
        await self._supervisor.close(interrupt_workers=self._settings.interrupt_workers)
        await self._launcher.close()
        await self._stop_sides()  # last: until here they tell that the service ends
        self._stopped.set()

    async def wait(self) -> None:
        """Until stop() is done."""
        await self._stopped.wait()

    async def _listen_everywhere(self, credentials: grpc.ServerCredentials | None) -> None:
        settings = self._settings
        self.target = bind(self._server, self._listen, "listen", credentials)
        if settings.private:
            bind(self._server, settings.private, "private")
        if settings.health_listen:
            self._health_port = HealthPort(settings.health_listen, self._health)
            self.health_target = self._health_port.target
            await self._health_port.start()
        if self._metrics is not None:
            self.metrics_target = self._metrics.listen(settings.metrics_listen)
        await self._server.start()

    def _measure(self) -> tuple[Observe, Callable[[RunDirectory], None]]:
        from agentforge.kit.serve.metrics import PhaseMetrics

        census = RunCensus(self.home, self.spec.name)
        self._metrics = PhaseMetrics(
            self.spec.name, census, lambda: self._tails.watchers, lambda: self._supervisor.deaths
        )
        return self._metrics.observe, census.touch

    async def _stop_sides(self) -> None:
        if self._health_port is not None:
            await self._health_port.stop()
        if self._metrics is not None:
            await self._metrics.close()

    async def _adopt(self) -> None:
        if not self._settings.adopt:
            return
        try:
            count = await self._supervisor.adopt_all(self.home, self.spec.name)
        except Exception:
            # Calls are still answered, and StartRun takes up the run it names: the log tells what is wrong.
            log.exception("the unfinished runs of phase %s could not all be taken up", self.spec.name)
        else:
            log.info("phase %s: %d unfinished runs taken up", self.spec.name, count)
