"""The same servers as anywhere else, inside this process: on unix sockets in a directory closed to other users."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from agentforge.kit.phase import PhaseSpec
from agentforge.kit.serve.server import PhaseServer, ServerSettings

if TYPE_CHECKING:
    from agentforge_gateway.app import Gateway

_STOP_S = 10.0
_log = logging.getLogger("agentforge.cli")


class Embedded:
    """Phase services, and a gateway if wanted, on an event loop in a thread of their own.

    The gateway brings forward the one run `own`; with the empty string it only answers questions.
    """

    def __init__(self, home: Path, specs: Sequence[PhaseSpec], *, gateway: bool = False, own: str = "") -> None:
        self._home = home
        self._specs = specs
        self._wants_gateway = gateway
        self._own = own
        self._servers: list[PhaseServer] = []
        self._gateway: Gateway | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded servers", daemon=True)
        self.phases: dict[str, str] = {}
        self.gateway = ""

    def __enter__(self) -> Self:
        # Below the system's directory and with a short name: a socket's path holds about 100 bytes.
        self._sockets = Path(tempfile.mkdtemp(prefix="af-"))
        self._thread.start()
        try:
            self._await(self._start())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopping = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        try:
            stopping.result(_STOP_S)
        except TimeoutError:  # runs are safe: workers are processes of their own, and the logs tell where they are
            _log.warning("the embedded servers did not stop within %g s and are left", _STOP_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_S)
            shutil.rmtree(self._sockets, ignore_errors=True)

    async def _start(self) -> None:
        for spec in self._specs:
            target = f"unix:{self._sockets}/{spec.name}"
            # No token: nobody else can enter the directory.
            server = PhaseServer(spec, self._home, target, settings=ServerSettings(token="", adopt=False))
            self._servers.append(server)
            await server.start()
            self.phases[spec.name] = target
        if self._wants_gateway:
            await self._start_gateway()

    async def _start_gateway(self) -> None:
        from agentforge_gateway.app import Gateway
        from agentforge_gateway.settings import GatewaySettings

        self.gateway = f"unix:{self._sockets}/gateway"
        # No token: nobody else can enter the directory. No HTTP: nobody asks for it.
        settings = GatewaySettings(
            home=self._home, phases=self.phases, listen="", grpc_listen=self.gateway, token="", token_file=None
        )
        self._gateway = Gateway(settings, only_run=self._own)
        await self._gateway.start()

    async def _stop(self) -> None:
        if self._gateway is not None:
            await self._gateway.stop()
        for server in self._servers:
            await server.stop(grace_s=1.0)

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
