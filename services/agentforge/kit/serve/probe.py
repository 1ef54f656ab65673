"""`python -m agentforge.kit.serve.probe WHERE` (HOST:PORT, or http://HOST:PORT/readyz): exit code 0 if it serves.

For health checks of containers, whose images hold neither grpc_health_probe nor curl.
"""

from __future__ import annotations

import sys
import urllib.request
from typing import Any

_TIMEOUT_S = 4.0  # a check that takes longer is as good as none


def serves(where: str) -> bool:
    """False is an answer, too; OSError and grpc.RpcError say that there was none."""
    if where.startswith(("http://", "https://")):
        with urllib.request.urlopen(where, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the schemes are checked
            return bool(answer.status == 200)
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(where) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its methods are made at run time
        said = stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)
    return bool(said.status == health_pb2.HealthCheckResponse.SERVING)


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m agentforge.kit.serve.probe HOST:PORT | http://HOST:PORT/PATH\n")
        return 2
    try:
        if serves(sys.argv[1]):
            return 0
        sys.stderr.write(f"{sys.argv[1]} does not serve\n")
    except Exception as error:  # refused, unreachable, 503, not even HTTP: all the same to who asks
        details = getattr(error, "details", None)
        sys.stderr.write(f"{sys.argv[1]}: {details() if callable(details) else error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
