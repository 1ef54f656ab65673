"""The process around PhaseService: port, health, reflection, adoption of unfinished runs, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.files import disk_errors
from agentforge.kit.launch import Launcher, LocalLauncher
from agentforge.kit.phase import PhaseSpec, Pipeline, load_pipeline
from agentforge.kit.serve.interceptor import Gate
from agentforge.kit.serve.servicer import PhaseServicer
from agentforge.kit.serve.tls import TlsFiles
from agentforge.kit.serve.watch import HEARTBEAT_S, Tails
from agentforge.kit.supervise import RunSupervisor, SupervisorSettings
from agentforge.v1 import phase_pb2
from agentforge.v1.phase_pb2_grpc import add_PhaseServiceServicer_to_server

TOKEN_VARIABLE = "AGENTFORGE_TOKEN"  # noqa: S105 - the name of a variable
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

    token: str = field(default_factory=lambda: os.environ.get(TOKEN_VARIABLE, ""), repr=False)
    heartbeat_s: float = HEARTBEAT_S  # silence of a watch stream after which a heartbeat is sent
    interrupt_workers: bool = False  # at stop: True has them write a checkpoint and end, False lets them run on
    adopt: bool = True  # at start: take up all unfinished runs of the volume; a command of one user must not
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)


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
        self._launcher = launcher or LocalLauncher()
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
        self._tails = Tails(self._settings.heartbeat_s)
        self._supervisor = RunSupervisor(self._launcher, self._settings.supervisor)
        self._servicer = PhaseServicer(self.spec, self._pipeline, self.home, self._supervisor, self._tails)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(interceptors=[Gate(self._settings.token)], options=_OPTIONS)
        add_PhaseServiceServicer_to_server(self._servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        self._bind()
        await self._server.start()
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
        self._stopped.set()

    async def wait(self) -> None:
        """Until stop() is done."""
        await self._stopped.wait()

    def _bind(self) -> None:
        try:
            if self._tls is not None:
                port = self._server.add_secure_port(self._listen, self._tls.server_credentials())
            else:
                port = self._server.add_insecure_port(self._listen)
        except RuntimeError:
            port = 0
        if not port:
            raise FailedPrecondition(
                f"cannot listen on {self._listen!r}",
                reason="LISTEN_FAILED",
                field="listen",
                next_step="Give HOST:PORT of this machine with a free port, or unix:PATH of at most 100 bytes.",
            )
        if not self._listen.startswith("unix:"):
            self.target = f"{self._listen.rpartition(':')[0]}:{port}"

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
