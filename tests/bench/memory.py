"""Memory: of a gateway with 1,000 past runs, and of a phase service over 1,000 runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from agentforge.client import PhaseClient
from agentforge.v1 import pipeline_pb2
from tests.bench.record import record, rss_bytes
from tests.bench.system import System, system

RUNS = 1000


def main() -> None:
    with system() as built:
        gateway(built)
        service(built)


def gateway(built: System) -> None:
    for _ in range(RUNS):  # the first one runs, the others reuse it: past runs like any other
        built.finish(built.submit("echo", reuse=True, echo={}))
    token, listed = "", 0
    while True:
        request = pipeline_pb2.ListPipelinesRequest(page_size=1000, page_token=token)
        page = built.stub.ListPipelines(request, timeout=60)
        listed, token = listed + len(page.pipelines), page.next_page_token
        if not token:
            break
    warm = rss_bytes(built.gateway.pid)
    built.gateway.stop()
    built.gateway.start()
    fresh = rss_bytes(built.gateway.pid)
    figures = {"past_runs": listed, "rss_bytes": warm, "rss_bytes_after_restart": fresh}
    record("gateway_memory", "<= 150 MB resident with 1,000 past runs", figures)


def service(built: System) -> None:
    echo = built.phases["echo"]
    rss = {}
    with PhaseClient(echo.target) as client, ThreadPoolExecutor(2) as pool:
        for end in range(100, RUNS + 1, 100):
            list(pool.map(lambda n: client.run(f"flat-{n}"), range(end - 100, end)))
            rss[end] = rss_bytes(echo.pid)
    figures = {"rss_bytes_after_runs": rss, "growth_bytes_per_run_since_100": (rss[RUNS] - rss[100]) / (RUNS - 100)}
    record("service_memory", "flat over 1,000 runs", figures)
