"""What an operator decides, from the environment (AGENTFORGE_*) or from the code that embeds a gateway."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentforge.client import ClientTls
from agentforge.kit.errors import InvalidInput
from agentforge.kit.paths import home as default_home
from agentforge.kit.serve.tls import TlsFiles, tls_files
from agentforge.kit.serve.token import choose_token


class GatewaySettings(BaseSettings):
    """Each field is AGENTFORGE_<NAME> in the environment; arguments of the constructor win."""

    model_config = SettingsConfigDict(env_prefix="AGENTFORGE_", extra="forbid", frozen=True)

    home: Path = Field(default_factory=default_home, description="The volume that all services share.")
    database_url: str = Field(
        "",
        description="SQLAlchemy URL: sqlite+aiosqlite:///… or postgresql+psycopg://…; empty: gateway.db in home.",
    )
    database_timeout_s: float = Field(
        10.0, gt=0, description="How long PostgreSQL may take to answer before it counts as away, in seconds."
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
    token_file: Path | None = Field(None, description="A file that holds the token, instead of `token`.")
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) of HTTP and gRPC; none: no TLS.")
    tls_key: Path | None = Field(None, description="Its private key (PEM).")
    tls_client_ca: Path | None = Field(None, description="Only clients with a certificate of this authority.")
    phase_tls_ca: Path | None = Field(
        None, description="Authority (PEM) of the phases' certificates: they are called with TLS."
    )
    phase_tls_cert: Path | None = Field(None, description="The gateway's own certificate for phases (mTLS).")
    phase_tls_key: Path | None = Field(None, description="Its private key (PEM).")
    phase_tls_name: str = Field(
        "", description="What phases' certificates are for; empty: the host of each one's target."
    )
    token_rate_per_s: float = Field(20.0, ge=0, description="Calls a second of one token, on average; 0: no limit.")
    token_burst: int = Field(100, ge=1, description="Calls that a token may make at once after a pause.")
    token_at_once: int = Field(50, ge=0, description="Calls of a token that may be open, streams too; 0: no limit.")
    insecure: bool = Field(False, description="Listen beyond this machine although there is no token.")
    heartbeat_s: float = Field(10.0, gt=0, description="Sign of life in quiet event streams, in seconds.")

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.home.resolve() / 'gateway.db'}"

    @property
    def tls(self) -> TlsFiles | None:
        return tls_files(self.tls_cert, self.tls_key, self.tls_client_ca)

    @property
    def phase_tls(self) -> ClientTls | None:
        if not (self.phase_tls_ca or self.phase_tls_cert or self.phase_tls_key):
            return None
        return ClientTls(self.phase_tls_ca, self.phase_tls_cert, self.phase_tls_key, self.phase_tls_name)

    @property
    def root_token(self) -> str:
        """The bearer token that may do everything; empty: none is asked for."""
        return choose_token(self.token, self.token_file)

    @property
    def local_only(self) -> bool:
        """Everybody may everything, because only this machine can ask."""
        return not self.root_token and not self.insecure and _is_local(self.listen or "localhost:0")

    def check_exposure(self) -> None:
        """A gateway starts work on its machine for whoever reaches it: beyond loopback it wants a token."""
        closed = self.root_token or self.insecure or (self.tls is not None and self.tls_client_ca)
        for name, address in (("listen", self.listen), ("grpc_listen", self.grpc_listen)):
            if address and not closed and not _is_local(address):
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
