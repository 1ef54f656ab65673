"""Health on a port of its own, in plain text: Kubernetes' gRPC probes speak no TLS and hold no certificate.

Nothing else answers there, not even reflection, so that it may be open where the service itself asks for mTLS.
"""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2_grpc

from agentforge.kit.errors import FailedPrecondition


class HealthPort:
    """`health` is the main server's own servicer, so both always say the same."""

    def __init__(self, listen: str, health: health_pb2_grpc.HealthServicer) -> None:
        self._server = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 4096)]
        )
        health_pb2_grpc.add_HealthServicer_to_server(health, self._server)
        self.target = bind(self._server, listen, "health_listen")

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)


def bind(
    server: grpc.aio.Server, listen: str, field: str, credentials: grpc.ServerCredentials | None = None
) -> str:
    """Listen there; the address with the port that was taken."""
    try:
        port = (
            server.add_insecure_port(listen) if credentials is None else server.add_secure_port(listen, credentials)
        )
    except RuntimeError:
        port = 0
    if not port:
        raise FailedPrecondition(
            f"cannot listen on {listen!r}",
            reason="LISTEN_FAILED",
            field=field,
            next_step="Give HOST:PORT of this machine with a free port, or unix:PATH of at most 100 bytes.",
        )
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
