"""The gateway as one object: started by `agentforge serve gateway`, or inside another program."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine

from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import load_pipeline
from agentforge_gateway.access.callers import Access
from agentforge_gateway.access.limits import Limits
from agentforge_gateway.access.rows import Rows
from agentforge_gateway.api import build_app
from agentforge_gateway.dash.talk import Talkers
from agentforge_gateway.database import migrate, open_engine
from agentforge_gateway.grpc_face import GrpcFace
from agentforge_gateway.links import Links
from agentforge_gateway.parts import Parts
from agentforge_gateway.registry.registry import Registry
from agentforge_gateway.registry.shelf import Shelf
from agentforge_gateway.runs import Runs
from agentforge_gateway.scheduler import Scheduler
from agentforge_gateway.sequencer import Surroundings
from agentforge_gateway.settings import GatewaySettings, split_address
from agentforge_gateway.store import Store
from agentforge_gateway.tail import Tails
from agentforge_gateway.tls import HttpTls

_GRACE_S = 3  # for requests that are being answered; streams end at once


class Gateway:
    """`http_address` and `grpc_address` hold the real ports once it has started.

    `only_run`: bring forward just that run, or none for the empty string, and answer questions about all. For the
    gateway inside a command of one user, who shares the volume with others.
    """

    def __init__(self, settings: GatewaySettings | None = None, *, only_run: str | None = None) -> None:
        self.settings = settings or GatewaySettings()
        self._only_run = only_run
        self.settings.check_exposure()
        self.http_address = ""
        self.grpc_address = ""
        self._parts: Parts | None = None
        self._grpc: GrpcFace | None = None
        self._http: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("the gateway is not started")
        return self._parts

    async def start(self) -> None:
        """Answers when this returns. A start that fails leaves nothing open."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Streams end, runs are let go of; their phases work on, and the next start goes on with them."""
        if self._parts is None:
            return
        parts = self._parts
        await parts.tails.close()
        await parts.talkers.close()
        if self._http is not None and self._serving is not None:
            self._http.should_exit = True
            await self._serving
        if self._grpc is not None:
            await self._grpc.stop(_GRACE_S)
        await parts.scheduler.stop()
        await parts.links.close()
        await parts.engine.dispose()
        self._parts = self._grpc = self._http = self._serving = None

    async def wait(self) -> None:
        """Until the HTTP server ends by itself, which it does only for a fault."""
        if self._serving is not None:
            await asyncio.shield(self._serving)
        else:
            await asyncio.Event().wait()

    async def _start(self) -> None:
        settings = self.settings
        engine = open_engine(settings.url)
        self._parts = parts = _assemble(settings, engine, self._only_run)
        await migrate(engine)
        await parts.scheduler.start()
        if settings.grpc_listen:
            self._grpc = GrpcFace(parts)
            self.grpc_address = await self._grpc.start(settings.grpc_listen)
        if settings.listen:
            await self._serve_http(parts)

    async def _serve_http(self, parts: Parts) -> None:
        tls = HttpTls(self.settings.tls) if self.settings.tls else None
        listener = _listen(self.settings.listen)
        host = split_address(self.settings.listen, "listen")[0]
        self.http_address = f"{host or '127.0.0.1'}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            build_app(parts),
            log_config=None,  # the program that starts the gateway configures logging
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
            ws_per_message_deflate=False,  # the same events for 50 watchers would be compressed 50 times
        )
        config.load()
        if tls is not None:
            config.ssl = tls.context  # the same in every version of uvicorn, whose own options read files only once
        self._http = _Server(config)
        self._serving = asyncio.create_task(self._http.serve(sockets=[listener]))
        while not self._http.started and not self._serving.done():  # noqa: ASYNC110  (uvicorn has no event)
            await asyncio.sleep(0.005)
        if self._serving.done():
            await self._serving


class _Server(uvicorn.Server):
    """Leaves signals to the program around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def phase_targets(settings: GatewaySettings) -> dict[str, str]:
    """All phases of the installed pipeline in order, or the ones that the settings name when there is none."""
    names = load_pipeline().names
    strangers = set(settings.phases) - set(names)
    if strangers:
        raise InvalidInput(
            f"AGENTFORGE_PHASES names {sorted(strangers)[0]!r}, which the pipeline does not have",
            reason="UNKNOWN_PHASE",
            field="phases",
            next_step=f"The pipeline has: {', '.join(names) or 'no phases yet'}.",
        )
    return {name: settings.phases.get(name) or settings.phase_target.format(phase=name) for name in names}


def _assemble(settings: GatewaySettings, engine: AsyncEngine, only_run: str | None) -> Parts:
    store, tails = Store(engine, settings.database_timeout_s), Tails()
    links = Links(phase_targets(settings), settings.root_token, settings.phase_tls)
    around = Surroundings(settings.home, links, store, settings.unreachable_timeout_s)
    scheduler = Scheduler(around, tails, settings.max_concurrent_runs, only_run)
    runs = Runs(around, scheduler, tails, settings.heartbeat_s)
    registry = Registry(settings.home, Shelf(engine, settings.database_timeout_s), store, links)
    limits = Limits(settings.token_rate_per_s, settings.token_burst, settings.token_at_once)
    access = Access(settings.root_token, Rows(engine, settings.database_timeout_s), limits)
    talkers = Talkers(settings.home)
    return Parts(settings, engine, store, links, tails, scheduler, runs, registry, access, talkers)


def _listen(address: str) -> socket.socket:
    host, port = split_address(address, "listen")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise InvalidInput(
            f"the gateway cannot listen on {address}: {error.strerror}",
            reason="ADDRESS_IN_USE",
            field="listen",
            next_step="Stop what listens there, or choose another address.",
        ) from None
