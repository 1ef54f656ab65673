"""What an operator decides, from the environment (AGENTFORGE_*) or from the code that embeds a gateway."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentforge.kit.errors import InvalidInput
from agentforge.kit.paths import home as default_home


class GatewaySettings(BaseSettings):
    """Each field is AGENTFORGE_<NAME> in the environment; arguments of the constructor win."""

    model_config = SettingsConfigDict(env_prefix="AGENTFORGE_", extra="forbid", frozen=True)

    home: Path = Field(default_factory=default_home, description="The volume that all services share.")
    database_url: str = Field(
        "",
        description="SQLAlchemy URL: sqlite+aiosqlite:///… or postgresql+psycopg://…; empty: gateway.db in home.",
    )
    phases: dict[str, str] = Field(
        default_factory=dict,
        description="Phase to target (HOST:PORT or unix:PATH), as JSON; a phase not named follows phase_target.",
    )
    phase_target: str = Field(
        "{phase}:50051", description="Target of each phase that `phases` does not name; {phase} is its name."
    )
    max_concurrent_runs: int = Field(2, ge=1, description="Runs sequenced at once; the others wait in order.")
    unreachable_timeout_s: float = Field(
        300.0, gt=0, description="How long a phase service may be away before the run fails, in seconds."
    )
    listen: str = Field("127.0.0.1:8080", description="HTTP: HOST:PORT; port 0 takes a free one; empty: no HTTP.")
    grpc_listen: str = Field("127.0.0.1:50050", description="gRPC: HOST:PORT or unix:PATH; empty: no gRPC.")
    token: str = Field("", repr=False, description="Bearer token that every call must carry; empty: none.")
    insecure: bool = Field(False, description="Listen beyond this machine although there is no token.")
    heartbeat_s: float = Field(10.0, gt=0, description="Sign of life in quiet event streams, in seconds.")

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.home.resolve() / 'gateway.db'}"

    def check_exposure(self) -> None:
        """A gateway starts work on its machine for whoever reaches it: beyond loopback it wants a token."""
        for name, address in (("listen", self.listen), ("grpc_listen", self.grpc_listen)):
            if address and not self.token and not self.insecure and not _is_local(address):
                raise InvalidInput(
                    f"the gateway will not listen on {address} without a token: others could start runs",
                    reason="TOKEN_NEEDED",
                    field=name,
                    next_step="Set AGENTFORGE_TOKEN, listen on 127.0.0.1, or set AGENTFORGE_INSECURE=1.",
                )


def split_address(address: str, field: str) -> tuple[str, int]:
    """HOST:PORT, where an IPv6 host stands in brackets."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InvalidInput(
            f"{address!r} is no address", reason="BAD_ADDRESS", field=field, next_step="Write HOST:PORT."
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_local(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host, _ = split_address(address, "listen")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
