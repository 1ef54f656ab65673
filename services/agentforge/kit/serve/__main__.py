"""`python -m agentforge.kit.serve PHASE --listen HOST:PORT`: the service of one phase, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from agentforge.kit.errors import ForgeError
from agentforge.kit.paths import home
from agentforge.kit.phase import load_pipeline
from agentforge.kit.serve.server import PhaseServer, ServerSettings
from agentforge.kit.serve.tls import tls_files
from agentforge.kit.supervise import SupervisorSettings


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(arguments))
    except ForgeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    pipeline = load_pipeline()
    memory = arguments.memory_limit_mib << 20 if arguments.memory_limit_mib else None
    settings = ServerSettings(
        interrupt_workers=arguments.interrupt_workers,
        supervisor=SupervisorSettings(grace_s=arguments.cancel_grace, memory_limit_bytes=memory),
        health_listen=arguments.health_listen,
        metrics_listen=arguments.metrics_listen,
    )
    server = PhaseServer(
        pipeline.spec(arguments.phase), home(), arguments.listen,
        tls=tls_files(arguments.tls_cert, arguments.tls_key, arguments.tls_client_ca),
        settings=settings, pipeline=pipeline,
    )  # fmt: skip
    await server.start()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    await asked.wait()
    await server.stop(arguments.drain)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agentforge.kit.serve", description=__doc__)
    parser.add_argument("phase")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT|unix:PATH")
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", default=_path("TLS_CERT"))
    parser.add_argument("--tls-key", type=Path, metavar="PEM", default=_path("TLS_KEY"))
    parser.add_argument(
        "--tls-client-ca", type=Path, metavar="PEM", default=_path("TLS_CLIENT_CA"),
        help="only clients certified by it get in",
    )  # fmt: skip
    for side in ("health", "metrics"):
        default = os.environ.get(f"AGENTFORGE_{side.upper()}_LISTEN", "")
        parser.add_argument(f"--{side}-listen", metavar="HOST:PORT", default=default)
    parser.add_argument(
        "--drain", type=float, default=5.0, metavar="SECONDS", help="open calls get this long to end"
    )
    parser.add_argument("--cancel-grace", type=float, default=SupervisorSettings().grace_s, metavar="SECONDS")
    parser.add_argument("--memory-limit-mib", type=int, metavar="MIB", help="of one worker with its children")
    parser.add_argument(
        "--interrupt-workers", action="store_true", help="at the end workers write a checkpoint and stop, too"
    )
    return parser


def _path(name: str) -> Path | None:
    value = os.environ.get(f"AGENTFORGE_{name}", "")
    return Path(value) if value else None


if __name__ == "__main__":
    sys.exit(main())
