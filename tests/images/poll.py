"""python -m tests.images.poll grpc|http HOST:PORT: wait until it is healthy, and print the time of the answer."""

from __future__ import annotations

import http.client
import sys
import time
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

EVERY_S = 0.05


def main(kind: str, address: str) -> None:
    asked = _serves if kind == "grpc" else _answers
    while not asked(address):
        time.sleep(EVERY_S)
    print(time.time())


def _serves(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its methods are made at run time
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
