"""What both clients share: how to connect, what to ask, and when to come back to a stream that broke."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from agentforge.kit.errors import ForgeError, InvalidInput, ResourceExhausted, Unavailable
from agentforge.kit.records import Record, from_proto
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.serve.tls import read_pem
from agentforge.kit.serve.values import to_struct
from agentforge.v1 import artifact_pb2, phase_pb2

CALL_S = 60.0
START_S = 600.0  # StartRun and ValidateConfig may hash gigabytes of inputs
AWAY_S = 60.0  # how long a service may be away while its run is watched
OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),  # one event may be large
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),  # a service that comes back is found soon
    ("grpc.keepalive_time_ms", 20_000),  # a peer that is gone without a word is noticed
    ("grpc.keepalive_timeout_ms", 10_000),
)
_PAUSE_FIRST_S, _PAUSE_LAST_S = 0.05, 2.0

Inputs = Sequence[ArtifactRef | artifact_pb2.Artifact]


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM files: who is trusted (None: the system's authorities), and who we are (mTLS).

    `name`: what the service's certificate must be for; empty: the host of its address.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.ca, self.certificate, self.key) if path is not None)

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        return (("grpc.ssl_target_name_override", self.name),) if self.name else ()

    def credentials(self) -> grpc.ChannelCredentials:
        if (self.certificate is None) != (self.key is None):
            raise InvalidInput(
                "a client certificate needs its key, and a key its certificate", reason="TLS_FILE", field="tls"
            )
        return grpc.ssl_channel_credentials(
            root_certificates=read_pem(self.ca, "tls.ca") if self.ca else None,
            private_key=read_pem(self.key, "tls.key") if self.key else None,
            certificate_chain=read_pem(self.certificate, "tls.certificate") if self.certificate else None,
        )


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


def start_request(
    run_id: str, config: Mapping[str, Any] | None, inputs: Inputs, preset: str, retry: bool
) -> phase_pb2.StartRunRequest:
    with _speakable():
        return phase_pb2.StartRunRequest(
            run_id=run_id, preset=preset, config=to_struct(config or {}), inputs=_artifacts(inputs), retry=retry
        )


def validate_request(
    config: Mapping[str, Any] | None, inputs: Inputs, preset: str, check_inputs: bool
) -> phase_pb2.ValidateConfigRequest:
    with _speakable():
        return phase_pb2.ValidateConfigRequest(
            preset=preset, config=to_struct(config or {}), inputs=_artifacts(inputs), check_inputs=check_inputs
        )


class Following:
    """Where a watcher stands: what it has, whether it goes on after an error, and when.

    `away_s` is how long the service may be out of reach before it was heard in this watch, and after.
    """

    def __init__(self, run_id: str, after: int, include_live: bool, *, away_s: float, away_first_s: float) -> None:
        self._run_id = run_id
        self._last = after
        self._include_live = include_live
        self._away_s = away_s
        self._patience_s = away_first_s
        self._lost_at: float | None = None
        self._pause = _PAUSE_FIRST_S
        self.over = False

    def request(self) -> phase_pb2.WatchRunRequest:
        return phase_pb2.WatchRunRequest(run_id=self._run_id, after_sequence=self._last)

    def take(self, response: phase_pb2.WatchRunResponse) -> Iterator[Record]:
        """The events that are new, once each; `over` is set when there will be no more."""
        self._lost_at, self._pause, self._patience_s = None, _PAUSE_FIRST_S, self._away_s
        for event in response.events:
            payload = event.WhichOneof("payload")
            if event.sequence > self._last:
                self._last = event.sequence
                if payload is not None:  # else of a kind that a newer service knows, and we do not
                    yield from_proto(event)
            elif payload == "caught_up" and not self._include_live:
                self.over = True

    def pause_after(self, error: ForgeError) -> float:
        """Seconds to wait before asking again; raises when that is of no use, or was tried long enough."""
        if not isinstance(error, Unavailable | ResourceExhausted):
            raise error
        now = time.monotonic()
        self._lost_at = now if self._lost_at is None else self._lost_at
        if now - self._lost_at >= self._patience_s:
            raise error
        pause, self._pause = self._pause, min(2 * self._pause, _PAUSE_LAST_S)
        return pause


@contextlib.contextmanager
def _speakable() -> Iterator[None]:
    """What protobuf cannot carry is the caller's to mend."""
    try:
        yield
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
        raise InvalidInput(f"the request cannot be sent: {error}", reason="NOT_JSON", field="config") from None
    except DecodeError:  # so protobuf says that something is nested too deep
        raise InvalidInput("the config is nested too deep", reason="CONFIG_TOO_DEEP", field="config") from None


def _artifacts(inputs: Inputs) -> list[artifact_pb2.Artifact]:
    return [one.to_proto() if isinstance(one, ArtifactRef) else one for one in inputs]
