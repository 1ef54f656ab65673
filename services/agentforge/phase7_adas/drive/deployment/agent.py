"""The edge deployment agent: packs detector and motion model with a runner, runs the file, and only then keeps it.

What runs on the device is deployment/device, in the form of agent.pyz (edge.solo): one file that Python runs, with
a digest of all and one of each part.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from agentforge.edge.device.solo.archive import ABOUT
from agentforge.edge.solo.pack import ROOT, pack
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import RunFailed
from agentforge.kit.files import write_atomic
from agentforge.kit.recorded import version
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.closed_loop.many import code
from agentforge.phase7_adas.drive.deployment.device.camera import Camera
from agentforge.phase7_adas.drive.perception import detector, targets
from agentforge.phase7_adas.drive.perception.detector import Detector, load
from agentforge.phase7_adas.drive.perception.sights import sight
from agentforge.phase7_adas.drive.prediction import rollout
from agentforge.phase7_adas.drive.prediction.context import SIZES, STARTS
from agentforge.phase7_adas.drive.prediction.rollout import MotionLM
from agentforge.phase7_adas.drive.prediction.tokens import MOTIONS, TOKENS
from agentforge.phase7_adas.drive.sensors.spec import SPECS

PICTURES, WORDS, SEED = 4, 16, 301
ALLOWED: Final = {"maps": 2e-4, "boxes": 0.05, "logits": 2e-3, "motions": 0.95}
"""Largest differences, and the least share of motions: other machines add floats in another order."""
COLUMNS: Final = ("kind", "heat", "left", "top", "right", "bottom", "metres")
_HERE: Final = "phase7_adas/drive/deployment/device"
_BESIDE: Final = ("edge/device/solo/archive.py", "edge/device/runtime/errors.py")
_MAIN: Final = b"from ....phase7_adas.drive.deployment.device.main import main\n\n__all__ = ['main']\n"
_LIMIT_S: Final = 300


def deploy(target: Path) -> dict[str, Any]:
    """What the file said of itself when it was run here. There is no file where it failed."""
    data = packed()
    with tempfile.TemporaryDirectory(prefix="agentforge-eyes-") as aside:
        tried = Path(aside) / "eyes.pyz"
        tried.write_bytes(data)
        told = run(tried)
    write_atomic(target, data)
    target.chmod(0o755)
    return {**told, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def run(file: Path, python: str = sys.executable) -> dict[str, Any]:
    """`--verify`, by a Python that sees nothing of this one's packages' settings."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, str(file), "--verify"], env=bare, capture_output=True, text=True, timeout=_LIMIT_S
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-600:]
        raise RunFailed(f"{file.name} does not pass its own checks: {said}", reason="PACKAGE_BROKEN")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def packed() -> bytes:
    """The same bytes for the same weights and code."""
    camera = load()
    files = {
        "camera.onnx": camera, "motion.npz": rollout.WEIGHTS.read_bytes(), "spec.json": canonical_json(spec()),
        "golden.npz": _npz(golden(camera)),
    }  # fmt: skip
    program = _program()
    digests = {f"{ROOT}/{path}": hashlib.sha256(each).hexdigest() for path, each in program.items()}
    digests |= {name: hashlib.sha256(each).hexdigest() for name, each in files.items()}
    shown = {
        "what": "camera detector (ONNX) and motion language model of the driving pipeline",
        "picture": f"uint8 of {spec()['camera']['picture']}: the rows about the horizon, binned 4 x 4",
        "made_by": f"agentforge {version()}, driving code {code()[:12]}",
        "verified": "both give here what the pipeline's own give: --verify asks it again",
        "not_verified_here": "a Jetson; TensorRT (build an engine of camera.onnx there); a real camera",
    }
    about = {"format": 1, "shown": shown, "allowed": ALLOWED, "files": digests}
    return pack(program, {**files, ABOUT: canonical_json(about)}, stored="motion.npz")


def spec() -> dict[str, Any]:
    return {
        "camera": {
            "picture": list(targets.crop_shape(SPECS.camera)), "kinds": [int(kind) for kind in targets.CLASSES],
            "columns": list(COLUMNS), "stride": targets.STRIDE, "least_heat": detector.LEAST_HEAT,
            "most": detector.MOST, "overlap": detector.OVERLAP, "size_unit_px": targets.SIZE_UNIT_PX,
            "far_unit_m": targets.FAR_UNIT_M,
        },
        "motion": {"motions": MOTIONS, "heads": rollout.HEADS, "theta": rollout.THETA},
    }  # fmt: skip


def golden(camera: bytes) -> dict[str, Any]:
    """Pictures of test scenes and words drawn at random, and what the pipeline's own make of them."""
    readings = [sight("test", SEED, index)[1].camera for index in range(PICTURES)]
    images = [reading.image_HW for reading in readings if reading is not None]
    own, runner = Detector(), Camera(camera, spec()["camera"])
    told = [own.tell(image) for image in images]
    pictures = np.stack([targets.cropped(image) for image in images])
    boxes = [np.column_stack([one.kind_N, one.heat_N, one.edges_N4, one.far_N]) for one in told]
    rng, model = Rng(SEED, "adas/drive/deployment/golden").numpy(), MotionLM.load()
    words = np.stack([STARTS + rng.integers(0, SIZES) for _ in range(WORDS)])
    draws = rng.random((1, TOKENS)).astype(np.float32)
    motions = model.sample(words, draws)[:, 0]
    sentences = np.concatenate([words, motions], axis=1)
    return {
        "pictures": pictures, "maps": np.stack([runner.maps(one) for one in pictures]),
        "boxes": np.concatenate(boxes),
        "words": words, "draws": draws[0], "motions": motions, "sentences": sentences,
        "logits": model.logits(sentences),
    }  # fmt: skip


def _npz(arrays: Mapping[str, Any]) -> bytes:
    made = io.BytesIO()
    np.savez_compressed(made, **arrays)
    return made.getvalue()


def _program() -> dict[str, bytes]:
    top = resources.files("agentforge")
    found = {path: top.joinpath(path).read_bytes() for path in _BESIDE}
    for each in top.joinpath(_HERE).iterdir():
        if each.name.endswith(".py"):
            found[f"{_HERE}/{each.name}"] = each.read_bytes()
    folders = {path.rpartition("/")[0] for path in found}
    above = {"/".join(folder.split("/")[:deep]) for folder in folders for deep in range(len(folder.split("/")) + 1)}
    empty = {f"{folder}/__init__.py".lstrip("/"): b"" for folder in above}
    return {**empty, **found, "edge/device/solo/main.py": _MAIN}
