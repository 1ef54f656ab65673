"""What TensorRT 8.5 reads: opset 17, checked against its table. Phase 7's package is taken over where it is of the
same weights. An engine belongs to one device and is built there: never here.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.digests import canonical_json, digest_file
from agentforge.kit.errors import DataLoss, MissingTool, Violation
from agentforge.phase8_compression.formats.face import Described, Format, Made, Options
from agentforge.phase8_compression.formats.graphs import (
    GRAPH,
    TOKENIZER,
    answered,
    beside,
    cannot_export,
    exported,
)

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

FILE, PROFILES, PACKAGE = "model.onnx", "profiles.json", "adas_deployment_package.tar.gz"
TAKEN = "taken over: its graph is this model's, to the byte"
_IN_PACKAGE = f"models/{FILE}"
_NO_ENGINE = "a TensorRT engine is of one device and one TensorRT: none is built here"
_STEP = "Set engine false; the package's build_engine.sh builds one on the device."


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    import onnx

    from agentforge.edge.lowering.lower import lower, notes
    from agentforge.edge.profiles import profiles
    from agentforge.edge.rules.check import require_tensorrt

    if options.engine:
        raise MissingTool(_NO_ENGINE, field="engine", next_step=_STEP)
    found = exported(model, codec, options.context)
    beside(directory, found, codec)
    lowered = lower(found.model)
    onnx.save(lowered, directory / FILE)
    shapes = profiles(found.facts.record, inputs=[each.name for each in lowered.graph.input])
    (directory / PROFILES).write_bytes(canonical_json(shapes))
    told: dict[str, Any] = {"opset": 17, "check": require_tensorrt(directory / FILE), "lowering": notes(lowered)}
    files = [FILE, GRAPH, TOKENIZER, PROFILES]
    if options.package is not None:
        archive = options.package / PACKAGE if options.package.is_dir() else options.package
        told["package"] = _package(archive, digest_file(directory / FILE))
        if told["package"] == TAKEN:
            shutil.copyfile(archive, directory / PACKAGE)
            files.append(PACKAGE)
    told |= {"engine": "none: it is built on its device", "answered_by": "onnxruntime", "threads": options.threads}
    return Made(directory, tuple(files), {FILE: True}, told)


def _package(archive: Path, digest: str) -> str:
    """Its graph is the one that this model gives, to the byte; then so are its weights."""
    from agentforge.edge.package.unpack import unpack
    from agentforge.edge.package.verify import verify_package

    broken = verify_package(archive, replay=False).failures
    if broken:
        message = f"{archive.name} is damaged: {broken[0].name}: {broken[0].fact}"
        raise DataLoss(message, reason="PACKAGE_BROKEN", field="package", next_step="Take phase 7's own file.")
    with tempfile.TemporaryDirectory() as aside:
        same = digest_file(unpack(archive, Path(aside)) / _IN_PACKAGE) == digest
    return TAKEN if same else "left out: it is of other weights than the final model's"


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    """By onnxruntime, since no TensorRT is here; verify.py of a package asks the device's own."""
    return answered(made, codec, items, batch=batch, file=file, threads=made.told["threads"])


def cannot(described: Described, options: Options) -> list[Violation]:
    found = cannot_export("formats.tensorrt", described)
    if options.engine:
        found.append(Violation("formats.tensorrt.engine", _NO_ENGINE, "MISSING_TOOL", _STEP))
    return found


FORMAT = Format(
    "tensorrt", (FILE,), True, {"onnx": "edge", "onnxruntime": "edge", "onnx_ir": "edge"}, make, answers, cannot
)
