"""python -m agentforge_gateway: a gateway by the environment alone, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from agentforge.kit.errors import ForgeError
from agentforge_gateway.app import Gateway
from agentforge_gateway.settings import GatewaySettings


async def serve(settings: GatewaySettings) -> None:
    """Start, say where, and stop in good order on a signal."""
    gateway = Gateway(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await gateway.start()
    logging.getLogger("agentforge.gateway").info(
        "listening: %s://%s, grpc %s",
        "https" if settings.tls else "http",
        gateway.http_address or "-",
        gateway.grpc_address or "-",
    )
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(gateway.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()
    await gateway.stop()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(GatewaySettings()))
    except ForgeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
