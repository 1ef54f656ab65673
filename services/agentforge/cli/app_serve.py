"""`agentforge serve`, and the commands of `agentforge tokens`: what operators use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentforge.cli.app import app
from agentforge.cli.app_tokens import tokens_app

app.add_typer(tokens_app)


@app.command()
def serve(
    what: Annotated[
        str, typer.Argument(metavar="PHASE|gateway|all", envvar="AGENTFORGE_SERVE", help="What to serve.")
    ],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen.")],
    home: Annotated[Path | None, typer.Option(help="The shared volume; else AGENTFORGE_HOME.")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(envvar="AGENTFORGE_TLS_CERT", help="Certificate chain of this server (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="AGENTFORGE_TLS_KEY", help="Its private key (PEM).")
    ] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(envvar="AGENTFORGE_TLS_CLIENT_CA", help="Only clients with a certificate of this CA."),
    ] = None,
    health_listen: Annotated[
        str,
        typer.Option(
            envvar="AGENTFORGE_HEALTH_LISTEN", metavar="HOST:PORT",
            help="A phase's health, alone and without TLS, for probes.",
        ),
    ] = "",
    metrics_listen: Annotated[
        str,
        typer.Option(
            envvar="AGENTFORGE_METRICS_LISTEN", metavar="HOST:PORT",
            help="A phase's /metrics for Prometheus, over plain HTTP.",
        ),
    ] = "",
    insecure: Annotated[bool, typer.Option(help="Listen beyond this machine without TLS or a token.")] = False,
) -> int:  # fmt: skip
    """Serve one phase, the gateway, or all of them in one process."""
    from agentforge.cli.serve import ServeOptions, serve_until_stopped

    options = ServeOptions(
        what, listen, home, tls_cert, tls_key, tls_client_ca, insecure, health_listen, metrics_listen
    )
    return serve_until_stopped(options)
