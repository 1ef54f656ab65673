"""On the host, when a package is made: edge.proto as descriptors, which every protobuf can read."""

from __future__ import annotations


def protoset() -> bytes:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    from agentforge.v1 import edge_pb2

    files = FileDescriptorSet()
    edge_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    return files.SerializeToString(deterministic=True)
