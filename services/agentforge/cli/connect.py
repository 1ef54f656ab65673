"""Whom a command talks to: a service that runs elsewhere, or the same servers inside this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.cli.naming import pipeline_here
from agentforge.kit.errors import MissingTool
from agentforge.kit.paths import home
from agentforge.kit.serve.token import service_token

if TYPE_CHECKING:
    from agentforge.cli.gateway import PipelineClient
    from agentforge.client import ClientTls, PhaseClient

token = service_token


def secured(target: str) -> tuple[str, ClientTls | None]:
    """The address without its scheme, and TLS where it is asked for.

    That is by https:// before the address (the system's authorities are trusted), or by AGENTFORGE_CLIENT_TLS_CA
    (that authority is); AGENTFORGE_CLIENT_TLS_CERT and _KEY are our own certificate (mTLS).
    """
    from agentforge.client import ClientTls

    ca, certificate, key = (_file(f"AGENTFORGE_CLIENT_TLS_{name}") for name in ("CA", "CERT", "KEY"))
    address = target.removeprefix("https://").removesuffix("/")
    wanted = target.startswith("https://") or ca or certificate or key
    if not wanted or address.startswith(("unix:", "http://")):
        return address.removeprefix("http://"), None
    return address, ClientTls(ca, certificate, key, os.environ.get("AGENTFORGE_CLIENT_TLS_NAME", ""))


def _file(variable: str) -> Path | None:
    value = os.environ.get(variable, "")
    return Path(value) if value else None


@contextmanager
def connect_phase(phase: str, target: str) -> Iterator[PhaseClient]:
    """A client of the phase's service: at `target`, or embedded. The embedded one takes up no run unasked."""
    from agentforge.client import PhaseClient

    if target:
        address, tls = secured(target)
        with PhaseClient(address, token=token(), tls=tls) as client:
            yield client
        return
    from agentforge.cli.embedded import Embedded

    spec = pipeline_here().spec(phase)
    with Embedded(home(), [spec]) as servers, PhaseClient(servers.phases[phase]) as client:
        yield client


@contextmanager
def connect_gateway(target: str, *, own: str = "", phases: bool = True) -> Iterator[PipelineClient]:
    """A client of the gateway: at `target`, or embedded. An embedded one brings forward the run `own`,
    and no other; questions about the past need no `phases`."""
    from agentforge.cli.gateway import PipelineClient

    if target:
        address, tls = secured(target)
        with PipelineClient(address, token(), tls) as client:
            yield client
        return
    need_gateway()
    from agentforge.cli.embedded import Embedded

    specs = pipeline_here().specs if phases else ()
    with Embedded(home(), specs, gateway=True, own=own) as servers, PipelineClient(servers.gateway) as client:
        yield client


def need_gateway() -> None:
    """Its packages are an extra, so that a client or a phase service stays small."""
    try:
        import agentforge_gateway.settings  # noqa: F401
    except ImportError as error:
        raise MissingTool(
            f"the gateway is not installed: {error.name} is missing",
            field=str(error.name),
            next_step="pip install 'agentforge[gateway]', or name a running gateway with --gateway HOST:PORT.",
        ) from None
