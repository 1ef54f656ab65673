"""The trained network as an ONNX file beside what is known of it, checked against PyTorch."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentforge.kit.errors import RunFailed
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.perception.net import Net
from agentforge.phase7_adas.drive.perception.targets import crop_shape
from agentforge.phase7_adas.drive.sensors.spec import SPECS, CameraSpec

OPSET = 20
BOUND = 2e-4
"""Largest difference between onnxruntime and PyTorch that is rounding."""


def exported(net: Net, spec: CameraSpec = SPECS.camera) -> bytes:
    """Raises where the file computes something else."""
    import onnx

    picture = torch.zeros((1, 1, *crop_shape(spec)), dtype=torch.uint8)
    file: Any = io.BytesIO()  # which it takes, though it does not say so
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (picture,), file, dynamo=False, opset_version=OPSET, input_names=["picture"],
            output_names=["maps"], dynamic_axes={"picture": {0: "batch"}, "maps": {0: "batch"}},
        )  # fmt: skip
    model = onnx.load_model_from_string(file.getvalue())
    onnx.checker.check_model(model, full_check=True)
    made: bytes = model.SerializeToString()
    off = difference(net, made, spec)
    if not off <= BOUND:
        raise RunFailed(
            f"the exported detector is {off:.2g} off PyTorch; {BOUND} is allowed",
            reason="PARITY_LOST",
            next_step="Another onnxruntime or torch may have changed an operator: see the versions in the sidecar.",
        )
    return made


def difference(net: Net, made: bytes, spec: CameraSpec = SPECS.camera) -> float:
    """The largest, over random and plain pictures."""
    import onnxruntime

    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    rng = Rng(0, "adas/drive/perception/parity").numpy()
    shape = (1, *crop_shape(spec))
    pictures = np.stack(
        [
            rng.integers(0, 256, shape, dtype=np.uint8),
            np.full(shape, 128, dtype=np.uint8),
            np.tile(np.linspace(0, 255, shape[2]).astype(np.uint8), (1, shape[1], 1)),
        ]
    )
    with torch.no_grad():
        want = net(torch.from_numpy(pictures)).numpy()
    return float(np.abs(session.run(None, {"picture": pictures})[0] - want).max())


def write(made: bytes, facts: dict[str, Any], onnx_file: Path) -> None:
    """The file, and a json of the same name that holds its digest."""
    onnx_file.parent.mkdir(parents=True, exist_ok=True)
    onnx_file.write_bytes(made)
    known = {"sha256": hashlib.sha256(made).hexdigest(), "bytes": len(made), "opset": OPSET, **facts}
    onnx_file.with_suffix(".json").write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
