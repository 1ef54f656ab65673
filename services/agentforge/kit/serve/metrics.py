"""What Prometheus reads of a phase's service. Counted, never estimated; no run id is a label.

Imported only by a service that is asked to listen for it: prometheus_client brings an HTTP server along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    make_wsgi_app,
    start_http_server,
)  # fmt: skip
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.kit.serve.census import RunCensus
from agentforge.v1 import event_pb2

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

STATES = tuple(one.name for one in event_pb2.RunState.DESCRIPTOR.values if one.number)
# Most calls answer in milliseconds; StartRun may hash gigabytes, WatchRun lasts as long as its run.
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
disable_created_metrics()  # type: ignore[no-untyped-call]  # the time at which each counter began: twice the series


class PhaseMetrics:
    """One registry for each service, because one process may serve several phases."""

    def __init__(
        self, phase: str, census: RunCensus, watchers: Callable[[], int], deaths: Callable[[], int]
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Now(phase, census, watchers, deaths))
        self._calls = Counter(
            "agentforge_phase_rpc", "Calls that have ended.", ["method", "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "agentforge_phase_rpc_seconds", "How long calls took.", ["method"],
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._server: tuple[WSGIServer, Thread] | None = None

    def observe(self, method: str, code: str, seconds: float) -> None:
        """`method` is one that the service has, so there are few."""
        name = method.rpartition("/")[2]
        self._calls.labels(name, code).inc()
        self._seconds.labels(name).observe(seconds)

    def listen(self, address: str) -> str:
        """Serve /metrics there; the address with the port that was taken."""
        host, port = _split(address)
        try:
            self._server = start_http_server(port, host, self._registry)
            self._server[0].set_app(_only_metrics(make_wsgi_app(self._registry)))
        except OSError as error:
            raise FailedPrecondition(
                f"cannot listen on {address!r} for metrics: {error.strerror}",
                reason="LISTEN_FAILED",
                field="metrics_listen",
                next_step="Give HOST:PORT of this machine with a free port.",
            ) from None
        return f"{address.rpartition(':')[0]}:{self._server[0].server_port}"

    async def close(self) -> None:
        if self._server is not None:
            server, thread = self._server
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            thread.join()
            self._server = None


class _Now(Collector):
    """What is looked up when somebody asks. Called in a thread of the HTTP server."""

    def __init__(
        self, phase: str, census: RunCensus, watchers: Callable[[], int], deaths: Callable[[], int]
    ) -> None:
        self._phase = phase
        self._census = census
        self._watchers = watchers
        self._deaths = deaths

    def describe(self) -> Iterable[Metric]:
        return []  # registering must not count runs

    def collect(self) -> Iterator[Metric]:
        counts = self._census.counts()
        if counts is not None:
            runs = GaugeMetricFamily("agentforge_phase_runs", "Runs on the volume.", labels=["phase", "state"])
            for state in STATES:
                runs.add_metric([self._phase, state.removeprefix("RUN_STATE_").lower()], counts.get(state, 0))
            yield runs
        yield GaugeMetricFamily("agentforge_phase_watchers", "Open streams of WatchRun.", self._watchers())
        yield CounterMetricFamily(
            "agentforge_worker_deaths", "Workers that a fault ended, or that had to be killed.", self._deaths()
        )


def _only_metrics(app: WSGIApplication) -> WSGIApplication:
    """prometheus_client answers at every path, and a wrong one in a scrape's settings would go unseen."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"metrics are at /metrics\n"]

    return answer


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise InvalidInput(
            f"{address!r} is no address for metrics",
            reason="BAD_ADDRESS",
            field="metrics_listen",
            next_step="Write HOST:PORT, as in 0.0.0.0:9464.",
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
