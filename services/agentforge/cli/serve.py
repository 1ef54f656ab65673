"""`agentforge serve`: one phase, the gateway, or all in one process, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agentforge.cli.connect import need_gateway, token
from agentforge.cli.naming import near_phase, pipeline_here
from agentforge.kit import paths
from agentforge.kit.errors import InvalidInput
from agentforge.kit.phase import PhaseSpec
from agentforge.kit.serve.server import PhaseServer, ServerSettings
from agentforge.kit.serve.tls import TlsFiles, tls_files


@dataclass(frozen=True, slots=True)
class ServeOptions:
    what: str
    listen: str
    home: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    insecure: bool
    health_listen: str = ""
    metrics_listen: str = ""

    @property
    def volume(self) -> Path:
        return self.home.absolute() if self.home else paths.home()

    @property
    def tls(self) -> TlsFiles | None:
        return tls_files(self.tls_cert, self.tls_key, self.tls_client_ca)


def serve_until_stopped(options: ServeOptions) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if options.what in ("gateway", "all"):
        need_gateway()
        if options.health_listen or options.metrics_listen:
            raise InvalidInput(
                "the gateway's health and metrics are on its HTTP port: /healthz, /readyz and /metrics",
                reason="USAGE",
                field="health_listen, metrics_listen",
                next_step="Leave both options out, or serve a phase by itself.",
            )
        asyncio.run(_serve_gateway(options))
    else:
        asyncio.run(_serve_phase(options, _spec(options.what)))
    return 0


def _spec(name: str) -> PhaseSpec:
    pipeline = pipeline_here()
    if name not in pipeline.names:
        raise near_phase(name, [*pipeline.names, "gateway", "all"], "PHASE|gateway|all")
    return pipeline.spec(name)


async def _serve_phase(options: ServeOptions, spec: PhaseSpec) -> None:
    tls = options.tls
    _check_exposure(options, closed=bool(tls and tls.client_ca))
    async with AsyncExitStack() as stack:
        stop = _asked_to_stop()
        settings = ServerSettings(health_listen=options.health_listen, metrics_listen=options.metrics_listen)
        server = PhaseServer(spec, options.volume, options.listen, tls=tls, settings=settings)
        await server.start()
        stack.push_async_callback(server.stop)
        sides = [f" {name} {at}" for name, at in (("health", server.health_target),
                                                  ("metrics", server.metrics_target)) if at]  # fmt: skip
        print(f"{spec.name} {server.target}{''.join(sides)}", flush=True)
        await stop.wait()


async def _serve_gateway(options: ServeOptions) -> None:
    """HTTP on the port that is given, gRPC on the next one, and with `all` the phases on those that follow."""
    from agentforge_gateway.app import Gateway
    from agentforge_gateway.settings import GatewaySettings

    tls = options.tls
    _check_exposure(options, closed=bool(tls and tls.client_ca))
    specs = pipeline_here().specs if options.what == "all" else ()
    http, grpc, *addresses = _consecutive(options.listen, 2 + len(specs))
    async with AsyncExitStack() as stack:
        stop = _asked_to_stop()
        # The gateway reaches the phases of its own process without certificates, where nobody else gets in.
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="af-")))
        shown, targets = {}, {}
        for spec, address in zip(specs, addresses, strict=True):
            targets[spec.name] = f"unix:{private / spec.name}"
            server = PhaseServer(
                spec, options.volume, address, tls=tls, settings=ServerSettings(private=targets[spec.name])
            )
            await server.start()
            stack.push_async_callback(server.stop)
            shown[spec.name] = server.target
        settings = GatewaySettings(
            home=options.volume, listen=http, grpc_listen=grpc, insecure=options.insecure,
            token=token(), token_file=None,
            tls_cert=options.tls_cert, tls_key=options.tls_key, tls_client_ca=options.tls_client_ca,
        )  # fmt: skip
        if targets:
            settings = settings.model_copy(update={"phases": targets})
        gateway = Gateway(settings)
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        print(
            f"gateway {'https' if tls else 'http'}://{gateway.http_address} grpc {gateway.grpc_address}", flush=True
        )
        for name, target in shown.items():
            print(f"{name} {target}", flush=True)
        await stop.wait()


def _asked_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _check_exposure(options: ServeOptions, *, closed: bool) -> None:
    """A service starts work for whoever reaches it, so beyond this machine callers must show who they are."""
    if closed or token() or options.insecure or options.listen.startswith("unix:"):
        return
    host, _ = _split(options.listen)
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise InvalidInput(
            f"others could reach {options.listen} and start runs: no token and no certificate is asked for",
            reason="TOKEN_NEEDED",
            field="listen",
            next_step="Set AGENTFORGE_TOKEN, give --tls-client-ca, listen on 127.0.0.1, or say --insecure.",
        )


def _consecutive(listen: str, count: int) -> Sequence[str]:
    """The address and the ones after it; port 0 stays 0, any free one."""
    host, port = _split(listen)
    if port + count - 1 > 65535:
        raise InvalidInput(f"{count} ports from {port} on are not there", field="listen", next_step="Begin lower.")
    host = f"[{host}]" if ":" in host else host
    return [f"{host}:{port + i if port else 0}" for i in range(count)]


def _split(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise InvalidInput(
            f"--listen {listen!r} is no address",
            reason="BAD_ADDRESS",
            field="listen",
            next_step="Write HOST:PORT, as in 127.0.0.1:50051.",
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
