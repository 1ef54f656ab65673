"""`agentforge export MODEL --out DIR|FILE.tar`: the files as registered, with the registry's card."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agentforge.cli.connect import connect_gateway, need_gateway
from agentforge.cli.models import version_of
from agentforge.kit.errors import AlreadyExists
from agentforge.kit.files import disk_errors
from agentforge.kit.paths import home
from agentforge.v1 import registry_pb2 as pb
from agentforge.v1.registry_pb2_grpc import RegistryServiceStub


def export(ref: str, out: Path, gateway: str) -> int:
    """All of it, every file compared with its digest on the way, or nothing."""
    need_gateway()
    from agentforge.kit.artifacts import ArtifactRef, manifest, verify
    from agentforge_gateway.registry.tarring import members, tar_stream

    if out.exists():
        message, step = f"{out} is there already", "Choose another place, or move it away."
        raise AlreadyExists(message, reason="OUT_EXISTS", field="out", next_step=step)
    version = version_of(gateway, ref)
    place = verify(home(), ArtifactRef.from_proto(version.artifact))
    with connect_gateway(gateway, phases=False) as client:
        request = pb.GetModelCardRequest(name=version.name, version=version.version)
        text = client.call(RegistryServiceStub(client.channel).GetModelCard, request).markdown
    files = members(place, manifest(place), text, dict(version.tags))
    aside = out.with_name(f".{out.name}.{uuid.uuid4().hex}.tmp")
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            if out.suffix == ".tar":
                _write(aside, tar_stream(f"{version.name}-{version.version}", files))
            else:
                for name, data, _ in files:
                    _write(aside / name, data)
            aside.rename(out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(OSError):
                aside.unlink(missing_ok=True)
    print(f"{version.name}:{version.version} is at {out}")
    return 0


def _write(path: Path, data: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for piece in data:
            file.write(piece)
