"""What the faces of the gateway work with, put together by app.Gateway."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from agentforge_gateway.access.callers import Access
from agentforge_gateway.dash.talk import Talkers
from agentforge_gateway.links import Links
from agentforge_gateway.registry.registry import Registry
from agentforge_gateway.runs import Runs
from agentforge_gateway.scheduler import Scheduler
from agentforge_gateway.settings import GatewaySettings
from agentforge_gateway.store import Store
from agentforge_gateway.tail import Tails


@dataclass(frozen=True)
class Parts:
    settings: GatewaySettings
    engine: AsyncEngine
    store: Store
    links: Links
    tails: Tails
    scheduler: Scheduler
    runs: Runs
    registry: Registry
    access: Access
    talkers: Talkers
