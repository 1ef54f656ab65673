"""Spans from the log, and on their way to a receiver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.errors import Unavailable
from agentforge.kit.events import read_events
from agentforge.track.otlp import tell_otel
from agentforge.track.source import Source
from agentforge.track.spans import Span, SpanFold
from agentforge.track.traceparent import Trace, parse, to_journal
from tests.unit.track.logs import FAILED, RUNNING, SUCCEEDED, add_events, pipeline_run, state, two_phases

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = ("", "sample", {"name": "trace", "data": {"traceparent": HEADER}})


def fold(source: Source) -> list[Span]:
    folded = SpanFold(source)
    return [span for record in read_events(source.directory.log_path)[0] for span in folded.feed(record)]


def test_one_span_for_the_run_for_each_phase_and_attempt(home: Path) -> None:
    spans = fold(pipeline_run(home, [state("", "RUN_STATE_QUEUED"), TRACE, *two_phases()]))
    names = ["cognate attempt 1", "cognate", "evomerge attempt 1", "evomerge", "pipeline"]
    assert [span.name for span in spans] == names
    by_name = {span.name: span for span in spans}
    assert by_name["pipeline"].parent == 0xB7AD6B7169203331
    assert by_name["evomerge"].parent == by_name["pipeline"].span_id
    assert by_name["evomerge attempt 1"].parent == by_name["evomerge"].span_id
    assert all(span.start_ns <= span.end_ns for span in spans)
    assert by_name["pipeline"].attributes["agentforge.state"] == "SUCCEEDED"
    assert len({span.span_id for span in spans}) == 5


def test_a_worker_that_died_and_a_run_that_was_resumed(home: Path) -> None:
    source = pipeline_run(home, [state("", RUNNING), state("evomerge", RUNNING)])
    add_events(source.directory.log_path, [state("evomerge", RUNNING)], attempt=2)
    error = {"reason": "TOO_SMALL", "message": "too small"}
    add_events(source.directory.log_path, [state("evomerge", FAILED, error=error), state("", FAILED)], attempt=2)
    add_events(source.directory.log_path, [state("", RUNNING), state("evomerge", RUNNING)], attempt=3)
    add_events(source.directory.log_path, [state("evomerge", SUCCEEDED), state("", SUCCEEDED)], attempt=3)
    spans = fold(source)
    assert [(span.name, span.error) for span in spans] == [
        ("evomerge attempt 1", "its worker ended without a word"),
        ("evomerge attempt 2", "too small"),
        ("evomerge", "too small"),
        ("pipeline", "FAILED"),
        ("evomerge attempt 3", ""),
        ("evomerge", ""),
        ("pipeline", ""),
    ]
    assert len({span.span_id for span in spans}) == 7


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        HEADER.upper(),
        HEADER.replace("0af", "000") + "-x",
        "ff" + HEADER[2:],
        "00-" + "0" * 32 + HEADER[35:],
        HEADER[:36] + "0" * 16 + "-01",
        HEADER + "\n" * 600,
        "\ud800",
    ],
)
def test_a_header_that_is_none_is_as_if_there_were_none(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_OTEL", "1")
    assert parse(header) is None
    assert to_journal(header) == []


def test_a_header_is_kept_only_where_tracing_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(HEADER) == Trace(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True)
    assert parse("01" + HEADER[2:] + "-more") is not None
    monkeypatch.delenv("AGENTFORGE_OTEL", raising=False)
    assert to_journal(HEADER) == []
    monkeypatch.setenv("AGENTFORGE_OTEL", "1")
    assert to_journal(HEADER) == [("sample", {"name": "trace", "data": {"traceparent": HEADER}})]


class Receiver:
    """An OTLP receiver: takes POST /v1/traces, parses the protobuf, keeps the spans."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[Any] = []
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

                body = self.rfile.read(int(self.headers["content-length"]))
                if kept.status == 200:
                    assert self.path == "/v1/traces"
                    if self.headers.get("content-encoding") == "gzip":
                        import gzip

                        body = gzip.decompress(body)
                    kept.requests.append(otlp.ExportTraceServiceRequest.FromString(body))
                self.send_response(kept.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[Any]:
        return [s for r in self.requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    pytest.importorskip("opentelemetry.sdk", reason="an extra: pip install 'agentforge[tracing]'")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    receiver = Receiver()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def tell(source: Source, *, again: bool = False) -> int:
    return tell_otel(source, again=again, stop=threading.Event(), idle_s=0.2)


def test_spans_arrive_once_with_the_callers_trace(home: Path, receiver: Receiver) -> None:
    source = pipeline_run(home, [state("", "RUN_STATE_QUEUED"), TRACE, *two_phases()])
    assert tell(source) == 17
    assert {span.trace_id.hex() for span in receiver.spans} == {HEADER[3:35]}
    assert [span.name for span in receiver.spans][-1] == "pipeline"
    assert receiver.spans[-1].parent_span_id.hex() == HEADER[36:52]
    resource = receiver.requests[0].resource_spans[0].resource.attributes
    assert {a.key: a.value.string_value for a in resource}["service.name"] == "agentforge"

    assert tell(source) == 17
    assert len(receiver.spans) == 5
    first = [span.span_id for span in receiver.spans]
    tell(source, again=True)
    assert [span.span_id for span in receiver.spans[5:]] == first


def test_a_receiver_that_refuses_is_told_later(home: Path, receiver: Receiver) -> None:
    source = pipeline_run(home, two_phases())
    receiver.status = 400
    with pytest.raises(Unavailable) as refused:
        tell(source)
    assert refused.value.reason == "OTLP_UNREACHABLE"
    receiver.status = 200
    assert tell(source) == 15
    assert len(receiver.spans) == 5


def test_what_the_caller_does_not_sample_is_not_told(home: Path, receiver: Receiver) -> None:
    not_sampled = ("", "sample", {"name": "trace", "data": {"traceparent": HEADER[:-2] + "00"}})
    assert tell(pipeline_run(home, [state("", RUNNING), not_sampled, *two_phases()])) == 17
    assert receiver.spans == []
