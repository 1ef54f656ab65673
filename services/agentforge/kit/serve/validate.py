"""What a caller asks, made into what a worker needs: a whole config, and inputs that were verified."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2

from agentforge.kit.artifacts import describe, verify
from agentforge.kit.config import PhaseConfig, resolved, validate_config
from agentforge.kit.errors import ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.kit.phase import PhaseSpec, Pipeline, load_object
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.serve.errors import violations_of
from agentforge.kit.serve.values import from_struct
from agentforge.kit.slots import assign
from agentforge.v1 import artifact_pb2

MAX_INPUTS = 1000


class Validator:
    """Of one phase on one volume. Its own threads read files: hashing gigabytes must not hold up watchers."""

    def __init__(self, spec: PhaseSpec, pipeline: Pipeline, home: Path) -> None:
        self._spec = spec
        self._pipeline = pipeline
        self._home = home
        self._hashing = ThreadPoolExecutor(2, thread_name_prefix="hash")

    def config(self, preset: str, overrides: struct_pb2.Struct) -> PhaseConfig:
        """Overrides over the preset over the defaults; raises one InvalidInput that names all that is wrong."""
        values = merged(self._pipeline.preset(preset, self._spec.name), from_struct(overrides))
        return validate_config(self._spec.config, values)

    async def inputs(
        self, artifacts: Sequence[artifact_pb2.Artifact], config: PhaseConfig | None = None
    ) -> tuple[ArtifactRef, ...]:
        """Every input with its true digest and size, or one error for all of them.

        Where the config is known, the phase also says what it cannot do to these inputs.
        """
        refs = checked_refs(artifacts)
        wrong = [replace(v, field=f"inputs.{v.field}") for v in assign(self._spec.takes, refs)[1]]
        if wrong:
            raise InvalidInput.of(wrong)
        read = asyncio.get_running_loop().run_in_executor
        inputs = await read(self._hashing, self._read_all, refs)
        if config is not None and self._spec.check:
            violations = await read(self._hashing, self._unfit, config, inputs)
            if violations:
                raise InvalidInput.of(violations)
        return inputs

    async def digests(self, artifacts: Sequence[artifact_pb2.Artifact]) -> tuple[ArtifactRef, ...]:
        """The same without a check of what has a digest: for comparing with a request that was checked before."""
        read = asyncio.get_running_loop().run_in_executor
        refs = checked_refs(artifacts)
        return tuple([r if r.sha256 else await read(self._hashing, self._read, r) for r in refs])

    async def violations(
        self, preset: str, overrides: struct_pb2.Struct, artifacts: Sequence[artifact_pb2.Artifact], *, inputs: bool
    ) -> tuple[list[Violation], dict[str, Any]]:
        """All that is wrong, of config and inputs together; and the whole config when nothing is."""
        found: list[Violation] = []
        config = None
        try:
            config = self.config(preset, overrides)
        except ForgeError as error:
            found += violations_of(error)
        if inputs:
            try:
                await self.inputs(artifacts, config)
            except ForgeError as error:
                found += violations_of(error)
        return found, resolved(config) if config is not None and not found else {}

    def close(self) -> None:
        self._hashing.shutdown(wait=False, cancel_futures=True)

    def _unfit(self, config: PhaseConfig, refs: Sequence[ArtifactRef]) -> list[Violation]:
        """What the phase itself says of inputs that are there and whole."""
        places = [InputPath(ref.name, ref.kind, self._home / ref.path, ref.sha256) for ref in refs]
        found: list[Violation] = load_object(self._spec.check)(config, places)
        return found

    def _read_all(self, refs: Sequence[ArtifactRef]) -> tuple[ArtifactRef, ...]:
        inputs: list[ArtifactRef] = []
        violations: list[Violation] = []
        worst: ForgeError | None = None
        for ref in refs:
            try:
                inputs.append(self._read(ref))
            except ForgeError as error:
                worst = worst or error
                violations += violations_of(error)
        if worst is None:
            return tuple(inputs)
        if len(violations) > len(violations_of(worst)):  # the code of the first, and the list of all
            worst.violations = tuple(violations)
        raise worst

    def _read(self, ref: ArtifactRef) -> ArtifactRef:
        place = f"inputs.{ref.name}"
        if ref.sha256:
            verify(self._home, ref)
            return ref
        if ref.path.lstrip("./").startswith("runs/"):
            raise InvalidInput(
                f"input {ref.name!r} ({ref.path}) is inside runs/, so its digest must be given",
                reason="MISSING_DIGEST",
                field=f"{place}.sha256",
                next_step="Take path and digest from the outputs of the run that made it.",
            )
        try:
            return describe(self._home, ref.path, ref.name, ref.kind)
        except ForgeError as error:
            error.field = f"{place}.path" if error.field in ("", "path") else error.field
            raise


def checked_refs(artifacts: Sequence[artifact_pb2.Artifact]) -> list[ArtifactRef]:
    if len(artifacts) > MAX_INPUTS:
        raise InvalidInput(f"{len(artifacts)} inputs were given; at most {MAX_INPUTS} are taken", field="inputs")
    return [ArtifactRef.from_proto(artifact) for artifact in artifacts]


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields are overridden one by one, lists and values as a whole."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return result
