"""manifest.json: what a package is, the digest of each of its files, and what was, and was not, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field, StringConstraints

from agentforge.edge.package.layout import MANIFEST, check_layout, staged_files
from agentforge.kit.config import StrictModel, Unfit, validate_config
from agentforge.kit.digests import canonical_json, digest_file
from agentforge.kit.errors import InvalidInput
from agentforge.kit.files import write_atomic
from agentforge.kit.paths import check_name
from agentforge.kit.recorded import version

FORMAT = 1
MAX_BYTES = 1 << 20  # of manifest.json: some thousand files
_FILES_MOST = 2_000

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class FileRecord(StrictModel):
    sha256: Sha256
    bytes: int = Field(ge=0)


class Source(StrictModel):
    """The model that the graph was made from."""

    parameters: int = Field(ge=1)
    kind: str  # model_type of its config
    sources: dict[str, Sha256]  # artifact to digest


class Target(StrictModel):
    """The one device that model.onnx is meant for."""

    device: str = "Jetson AGX Xavier"
    sm: int = 72
    l4t: str = "35.x"
    tensorrt: str = "8.5.x"
    cuda: str = "11.4"


class Variant(StrictModel):
    """One file of models/."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    opset: int = Field(ge=1)
    weights: str  # float32, int8, int4 …
    meant_for: Literal["tensorrt", "onnxruntime"] = Field(alias="for")


class About(StrictModel):
    """What the maker says of a package; the files say the rest."""

    name: str
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?$")
    model: Source
    target: Target = Target()
    variants: dict[str, Variant]
    profiles: dict[str, pydantic.JsonValue]  # shapes of prefill and decode
    precision: pydantic.JsonValue
    verified: list[str]  # sentences: what was checked here, and how
    not_verified_here: list[str]
    not_in_package: list[str]  # parts of the model that the graph does not hold

    @pydantic.field_validator("name")
    @classmethod
    def _safe(cls, name: str) -> str:
        try:
            check_name(name, "name")
        except InvalidInput as error:
            raise Unfit("", error.message, reason=error.reason, next_step=error.next_step) from None
        return name


class Manifest(About):
    format: Literal[1]
    created_by: dict[str, str]
    files: dict[str, FileRecord] = Field(max_length=_FILES_MOST)

    @property
    def total(self) -> int:
        """Bytes of all files that it lists."""
        return sum(record.bytes for record in self.files.values())


def write_manifest(staged: Path, about: About) -> Manifest:
    """Read every staged file, check that all parts are there, and write manifest.json beside them."""
    paths = staged_files(staged)
    check_layout(paths)
    files = {
        path: {"sha256": digest_file(staged / path), "bytes": (staged / path).stat().st_size} for path in paths
    }
    maker = {"agentforge": version()}
    record = {**about.model_dump(by_alias=True), "format": FORMAT, "created_by": maker, "files": files}
    data = canonical_json(record)
    manifest = read_manifest(data)
    write_atomic(staged / MANIFEST, data)
    return manifest


def read_manifest(data: bytes) -> Manifest:
    """What the bytes say, if they are of a format that is known here."""
    if len(data) > MAX_BYTES:
        raise _refused(f"has {len(data):,} bytes, {MAX_BYTES:,} are the most")
    try:
        record = json.loads(data, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        raise _refused(f"is no JSON: {error}") from None
    if not isinstance(record, dict) or "format" not in record:
        raise _refused("names no format")
    if record["format"] != FORMAT or isinstance(record["format"], bool):
        step = "Verify it with the version of agentforge that made it (created_by says which), or a newer one."
        raise InvalidInput(
            f"{MANIFEST} is of format {str(record['format'])[:40]!r}; format {FORMAT} is known here",
            reason="UNKNOWN_FORMAT", field=MANIFEST, next_step=step,
        )  # fmt: skip
    manifest = validate_config(Manifest, record, prefix=MANIFEST)
    check_layout(manifest.files)
    return manifest


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values under one name, every reader takes the one it likes."""
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("it names something twice")
    return record


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"{MANIFEST} {why}", reason="BAD_MANIFEST", field=MANIFEST)
