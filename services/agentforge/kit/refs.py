"""References to artifacts: plain data, as they stand in requests, in logs and in DONE.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from agentforge.v1 import artifact_pb2


class FileEntry(TypedDict):
    """One file of an artifact. The path is relative to the artifact; "." when the artifact is a single file."""

    path: str
    size: int
    sha256: str


class DataNote(TypedDict):
    """Data that a run has read. `what` says what of it was hashed: `count` pieces, in their order."""

    name: str
    what: str
    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A file or a directory on the volume, named by what is in it."""

    name: str
    kind: str
    path: str  # relative to the volume, forward slashes
    sha256: str
    size_bytes: int = 0

    def to_proto(self) -> artifact_pb2.Artifact:
        return artifact_pb2.Artifact(
            name=self.name, kind=self.kind, path=self.path, sha256=self.sha256, size_bytes=self.size_bytes
        )

    @classmethod
    def from_proto(cls, artifact: artifact_pb2.Artifact) -> ArtifactRef:
        return cls(artifact.name, artifact.kind, artifact.path, artifact.sha256, artifact.size_bytes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ArtifactRef:
        return cls(**{name: value[name] for name in ("name", "kind", "path", "sha256", "size_bytes")})


@dataclass(frozen=True, slots=True)
class Done:
    """What DONE.json says: the run's outputs are whole, these are their files, and this is what they came from."""

    outputs: tuple[ArtifactRef, ...]
    files: Mapping[str, list[FileEntry]]  # output name to its manifest
    parents: tuple[ArtifactRef, ...]
    measurements: tuple[dict[str, Any], ...]
    config_digest: str
    code_digest: str
    time: str
    data: tuple[DataNote, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "outputs": [{**ref.to_json(), "files": self.files[ref.name]} for ref in self.outputs],
            "parents": [ref.to_json() for ref in self.parents],
            "measurements": list(self.measurements),
            "config_digest": self.config_digest,
            "code_digest": self.code_digest,
            "time": self.time,
            "data": list(self.data),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Done:
        return cls(
            outputs=tuple(ArtifactRef.from_json(output) for output in value["outputs"]),
            files={output["name"]: output["files"] for output in value["outputs"]},
            parents=tuple(ArtifactRef.from_json(parent) for parent in value["parents"]),
            measurements=tuple(value["measurements"]),
            config_digest=value["config_digest"],
            code_digest=value["code_digest"],
            time=value["time"],
            data=tuple(value.get("data", ())),  # runs of before it was noted have none
        )
