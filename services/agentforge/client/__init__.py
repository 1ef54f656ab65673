"""Clients of a phase service, blocking and asyncio. Errors come back as the ForgeErrors that the service raised."""

from agentforge.client.aio import AsyncPhaseClient
from agentforge.client.blocking import PhaseClient
from agentforge.client.channel import ClientTls
from agentforge.client.errors import forge_error
from agentforge.client.handshake import explained
from agentforge.client.renewing import RenewingChannel

__all__ = ["AsyncPhaseClient", "ClientTls", "PhaseClient", "RenewingChannel", "explained", "forge_error"]
