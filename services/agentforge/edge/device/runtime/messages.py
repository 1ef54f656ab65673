"""The messages of edge.proto, built from its descriptors.

The host's generated code needs a newer protobuf than there is for Python 3.8; descriptors do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from .errors import BrokenPackage

PACKAGE = "agentforge.v1"
SERVICE = PACKAGE + ".EdgeService"


class Messages:
    """One class for each message: `messages.GenerateRequest`."""

    GenerateRequest: Any
    GenerateResponse: Any
    GenerateStats: Any
    GetInfoRequest: Any
    GetInfoResponse: Any
    EdgeBackend: Any

    def __init__(self, protoset: bytes) -> None:
        files = descriptor_pb2.FileDescriptorSet.FromString(protoset)
        pool = descriptor_pool.DescriptorPool()  # its own: another process may know this contract already
        for file in files.file:
            pool.AddSerializedFile(file.SerializeToString())
        for name in Messages.__annotations__:
            setattr(self, name, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")))
        self._reasons = pool.FindEnumTypeByName(f"{PACKAGE}.FinishReason").values_by_name

    def finish(self, reason: str) -> int:
        return int(self._reasons["FINISH_REASON_" + (reason.upper() or "UNSPECIFIED")].number)


def load_messages(file: Path) -> Messages:
    try:
        return Messages(file.read_bytes())
    except Exception as error:  # protobuf's errors differ between its versions
        raise BrokenPackage(f"{file} does not hold the descriptors of edge.proto: {error}") from error
