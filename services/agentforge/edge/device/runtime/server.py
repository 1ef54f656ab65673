"""Everything that `serve.py` runs: the backend, the gRPC server, health, metrics and the watchdog."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from .choose import Choice, choose
from .errors import EdgeError
from .generate import Engine
from .messages import SERVICE, load_messages
from .metrics import Metrics, serve_http
from .package import BACKENDS, Package
from .service import EdgeService, Limits
from .text import Text
from .watchdog import Watchdog

log = logging.getLogger(__name__)
SPARE_THREADS = 4  # for health, for GetInfo, and for saying no


class Running(NamedTuple):
    grpc_server: grpc.Server
    http_server: ThreadingHTTPServer
    watchdog: Watchdog
    health: health.HealthServicer
    port: int
    http_port: int

    def stop(self, grace: float) -> None:
        """Take no more requests, let those that run end, for at most `grace` seconds."""
        self.watchdog.drain()
        self.health.enter_graceful_shutdown()
        self.grpc_server.stop(grace).wait()
        self.watchdog.stop()
        self.http_server.shutdown()
        self.http_server.server_close()


def start(options: argparse.Namespace) -> Running:
    package = Package(options.package)
    chosen = choose(package, options.backend, options.file, options.threads)
    log.info("%s", chosen.words)
    limits = Limits(options.max_tokens, min(128, options.max_tokens), options.concurrent)
    status = health.HealthServicer()
    watchdog = Watchdog(options.step_limit, options.grace, lambda is_healthy: _show(status, is_healthy))
    metrics = Metrics(dict(_facts(chosen), package=package.name, package_version=package.version))
    messages = load_messages(options.package / "edge.protoset")
    graph = package.graph()
    engine = Engine(chosen.backend, graph, watchdog.step)
    service = EdgeService(engine, Text(options.package / "tokenizer", graph), messages, metrics, limits)
    service.info.name, service.info.version = package.name, package.version
    service.info.backend.CopyFrom(messages.EdgeBackend(**_facts(chosen)))

    server = grpc.server(
        ThreadPoolExecutor(options.concurrent + SPARE_THREADS, "grpc"), options=[("grpc.so_reuseport", 0)]
    )
    server.add_generic_rpc_handlers((service.handlers(),))
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    port = _bound(server, f"{options.host}:{options.port}")
    pages = serve_http((options.host, options.http_port), metrics, lambda: watchdog.is_healthy)
    server.start()
    _show(status, True)
    watchdog.start()
    return Running(server, pages, watchdog, status, port, pages.server_address[1])


def _bound(server: grpc.Server, address: str) -> int:
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise EdgeError(f"cannot listen on {address}: {error}") from error
    if port == 0:
        raise EdgeError(f"cannot listen on {address}")
    return port


def _facts(chosen: Choice) -> dict[str, str]:
    backend = chosen.backend
    return {"name": backend.name, "version": backend.version, "file": backend.file, "reason": chosen.reason}


def _show(status: health.HealthServicer, is_healthy: bool) -> None:
    value = health_pb2.HealthCheckResponse.SERVING if is_healthy else health_pb2.HealthCheckResponse.NOT_SERVING
    for service in ("", SERVICE):
        status.set(service, value)


def parser(root: Path) -> argparse.ArgumentParser:
    said = argparse.ArgumentParser(description="Serve the package's model over gRPC.")
    said.add_argument("--package", type=Path, default=root, help="the unpacked package")
    said.add_argument("--host", default="127.0.0.1", help="there is no authentication: think before you open it")
    said.add_argument("--port", type=int, default=50061, help="gRPC; 0 takes a free one")
    said.add_argument("--http-port", type=int, default=9461, help="/metrics and /healthz; 0 takes a free one")
    said.add_argument("--backend", choices=BACKENDS, default="auto")
    said.add_argument("--file", default="", help="a file of models/, for the onnxruntime backend")
    said.add_argument("--threads", type=int, default=0, help="of onnxruntime; 0: one for each core")
    said.add_argument("--concurrent", type=int, default=4, help="answers at once")
    said.add_argument("--max-tokens", type=int, default=1024, help="the most that a request may ask for")
    said.add_argument("--step-limit", type=float, default=10.0, help="seconds; a longer step counts as hanging")
    said.add_argument("--grace", type=float, default=20.0, help="seconds more until the process gives up")
    return said


def main(root: Path, arguments: list[str] | None = None) -> int:
    options = parser(root).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        running = start(options)
    except (EdgeError, OSError) as error:
        log.error("%s", error)
        return 1
    log.info("gRPC on %s:%d, /metrics and /healthz on port %d", options.host, running.port, running.http_port)
    stop.wait()
    log.info("stopping")
    running.stop(options.grace)
    return 0
