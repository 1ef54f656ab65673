"""Counters and one histogram in Prometheus' text format, served over HTTP beside /healthz."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds
CONTENT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    def __init__(self, info: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._info = dict(info)
        self._requests: Counter[str] = Counter()  # by gRPC status
        self._tokens: Counter[str] = Counter()  # prompt, generated
        self._running = 0
        self._steps = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def began(self) -> None:
        with self._lock:
            self._running += 1

    def ended(self, status: str, prompt_tokens: int, tokens: int) -> None:
        with self._lock:
            self._running -= 1
            self._requests[status] += 1
            self._tokens["prompt"] += prompt_tokens
            self._tokens["generated"] += tokens

    def refused(self, status: str) -> None:
        with self._lock:
            self._requests[status] += 1

    def token(self, seconds: float) -> None:
        place = next((place for place, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
        with self._lock:
            self._steps[place] += 1
            self._seconds += seconds

    def text(self, is_healthy: bool) -> str:
        with self._lock:
            parts = [
                _metric("info", "gauge", "What runs, and why.", [(_labels(**self._info), 1)]),
                _metric("healthy", "gauge", "1 while no step hangs.", [("", int(is_healthy))]),
                _metric("requests_running", "gauge", "Answers being generated.", [("", self._running)]),
                _metric("requests_total", "counter", "Answers by gRPC status.", _counted("status", self._requests)),
                _metric("tokens_total", "counter", "Tokens read and made.", _counted("kind", self._tokens)),
                self._histogram(),
            ]
        return "".join(parts)

    def _histogram(self) -> str:
        name = "token_seconds"
        samples: list[tuple[str, float]] = []
        total = 0
        for place, count in enumerate(self._steps):
            total += count
            bound = f"{BUCKETS[place]:g}" if place < len(BUCKETS) else "+Inf"
            samples.append(("_bucket" + _labels(le=bound), total))
        samples += [("_sum", self._seconds), ("_count", total)]
        return _metric(name, "histogram", "Seconds from one token to the next.", samples)


def _metric(name: str, kind: str, words: str, samples: list[tuple[str, float]]) -> str:
    full = "agentforge_edge_" + name
    lines = [f"# HELP {full} {words}", f"# TYPE {full} {kind}"]
    return "\n".join(lines + [f"{full}{labels} {value!r}" for labels, value in samples]) + "\n"


def _counted(label: str, counts: Mapping[str, int]) -> list[tuple[str, float]]:
    return [(_labels(**{label: key}), count) for key, count in sorted(counts.items())]


def _labels(**labels: str) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return "{" + ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels.items()) + "}"


def serve_http(address: tuple[str, int], metrics: Metrics, is_healthy: Callable[[], bool]) -> ThreadingHTTPServer:
    """GET /metrics and /healthz, from a thread of its own until `shutdown`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            healthy = is_healthy()
            if self.path == "/metrics":
                self._answer(200, metrics.text(healthy))
            elif self.path == "/healthz":
                answer = (200, "ok\n") if healthy else (503, "a step hangs, or the server is stopping\n")
                self._answer(*answer)
            else:
                self._answer(404, "only /metrics and /healthz\n")

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line each."""

    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True).start()
    return server
