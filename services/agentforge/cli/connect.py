"""Whom a command talks to: a service that runs elsewhere, or the same servers inside this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentforge.cli.naming import pipeline_here
from agentforge.kit.errors import MissingTool
from agentforge.kit.paths import home

if TYPE_CHECKING:
    from agentforge.cli.gateway import PipelineClient
    from agentforge.client import PhaseClient

TOKEN_VARIABLE = "AGENTFORGE_TOKEN"  # noqa: S105 - the name of a variable


def token() -> str:
    return os.environ.get(TOKEN_VARIABLE, "")


@contextmanager
def connect_phase(phase: str, target: str) -> Iterator[PhaseClient]:
    """A client of the phase's service: at `target`, or embedded. The embedded one takes up no run unasked."""
    from agentforge.client import PhaseClient

    if target:
        with PhaseClient(target, token=token()) as client:
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
        with PipelineClient(target, token()) as client:
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
