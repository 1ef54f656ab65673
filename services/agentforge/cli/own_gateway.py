"""The gateway of one command: it brings forward the command's own run, and leaves all others alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agentforge_gateway.app import Gateway, phase_targets
from agentforge_gateway.database import migrate, open_engine
from agentforge_gateway.grpc_face import GrpcFace
from agentforge_gateway.links import Links
from agentforge_gateway.parts import Parts
from agentforge_gateway.runs import Runs
from agentforge_gateway.scheduler import Scheduler
from agentforge_gateway.sequencer import Surroundings
from agentforge_gateway.settings import GatewaySettings
from agentforge_gateway.store import Store
from agentforge_gateway.tail import Tails


class OwnRunStore(Store):
    """Of the unfinished runs only the own one is seen by the scheduler; questions are answered about all."""

    own = ""

    async def ids(self, *, unfinished: bool) -> list[str]:
        found = await super().ids(unfinished=unfinished)
        return [run_id for run_id in found if run_id == self.own] if unfinished else found


class OwnRunGateway(Gateway):
    """gRPC on a unix socket, no HTTP, no token: nobody else reaches the socket."""

    def __init__(self, home: Path, phases: Mapping[str, str], listen: str, own: str) -> None:
        super().__init__(GatewaySettings(home=home, phases=dict(phases), listen="", grpc_listen=listen, token=""))
        self._own = own

    async def _start(self) -> None:
        settings = self.settings
        engine = open_engine(settings.url)
        store, tails, links = OwnRunStore(engine), Tails(), Links(phase_targets(settings))
        store.own = self._own
        around = Surroundings(settings.home, links, store, settings.unreachable_timeout_s)
        scheduler = Scheduler(around, tails, limit=1)
        runs = Runs(around, scheduler, tails, settings.heartbeat_s)
        self._parts = Parts(settings, engine, store, links, tails, scheduler, runs)
        await migrate(engine)
        await scheduler.start()
        self._grpc = GrpcFace(self._parts)
        self.grpc_address = await self._grpc.start(settings.grpc_listen)
