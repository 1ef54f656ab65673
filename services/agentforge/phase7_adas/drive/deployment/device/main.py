"""The command line of the file: what it is, whether it is whole and answers as it did, and how long that takes."""

from __future__ import annotations

import argparse
import io
import json
import platform
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .....edge.device.runtime.errors import BrokenPackage
from .....edge.device.solo.archive import Archive
from .camera import Camera
from .motion import Motion

FINE, FAILED, DAMAGED = 0, 1, 2
_WARM = 3


def main(path: str) -> int:
    parser = argparse.ArgumentParser(
        prog=Path(path).name, description="The eyes of a driving pipeline, in one file."
    )
    parser.add_argument(
        "--verify", action="store_true", help="check this file, ask what was asked when it was made"
    )
    parser.add_argument("--info", action="store_true", help="what is in this file")
    parser.add_argument("--picture", help="a .npy of a picture (uint8, as --info says): its boxes as JSON")
    options = parser.parse_args()
    try:
        archive = Archive(path)
        if options.verify:
            return _verify(archive)
        if options.picture:
            return _boxes(archive, options.picture)
        return _tell(archive.about["shown"])
    except BrokenPackage as error:
        sys.stderr.write(f"{path} is damaged: {error}\n")
        return DAMAGED
    except ImportError as error:
        sys.stderr.write(f"onnxruntime is needed: python3 -m pip install onnxruntime ({error})\n")
        return FAILED
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED


def loaded(archive: Archive) -> tuple[Camera, Motion]:
    spec = archive.json("spec.json")
    return Camera(archive.read("camera.onnx"), spec["camera"]), Motion(
        _arrays(archive, "motion.npz"), spec["motion"]
    )


def _arrays(archive: Archive, name: str) -> dict[str, Any]:
    with np.load(io.BytesIO(archive.read(name)), allow_pickle=False) as file:
        return {each: file[each] for each in file.files}


def _boxes(archive: Archive, file: str) -> int:
    camera = loaded(archive)[0]
    picture, shape = np.load(file, allow_pickle=False), tuple(camera.spec["picture"])
    if picture.shape != shape or picture.dtype != np.uint8:
        raise ValueError(f"{file}: a picture is uint8 of {shape}, not {picture.dtype} of {picture.shape}")
    return _tell({"columns": camera.spec["columns"], "boxes": camera.boxes(picture).tolist()})


def _verify(archive: Archive) -> int:
    """0: every file and every answer is what it was. 1: an answer is not. 2: a file is not."""
    faults = archive.faults()
    if faults:
        raise BrokenPackage("; ".join(faults))
    camera, motion = loaded(archive)
    golden, allowed = _arrays(archive, "golden.npz"), archive.about["allowed"]
    off = {
        "maps": _off(np.stack([camera.maps(one) for one in golden["pictures"]]), golden["maps"]),
        "boxes": _off(np.concatenate([camera.boxes(one) for one in golden["pictures"]]), golden["boxes"]),
        "logits": _off(motion.logits(golden["sentences"]), golden["logits"]),
    }
    same = float((motion.foresee(golden["words"], golden["draws"]) == golden["motions"]).mean())
    passed = all(off[name] <= allowed[name] for name in off) and same >= allowed["motions"]
    told = {
        "passed": passed, "files": len(archive.about["files"]), "off": off, "motions_equal": same,
        "allowed": allowed,
        "pictures": len(golden["pictures"]), "words": len(golden["words"]),
        "camera_ms": _timed(lambda: camera.boxes(golden["pictures"][0])),
        "motion_ms": _timed(lambda: motion.foresee(golden["words"], golden["draws"])),
        "python": platform.python_version(), "machine": platform.machine(), "numpy": np.__version__,
    }  # fmt: skip
    _tell(told)
    return FINE if passed else FAILED


def _off(have: Any, want: Any) -> float:
    """The largest difference; infinite where there are more or fewer."""
    if have.shape != want.shape:
        return float("inf")
    return float(np.abs(have - want).max()) if want.size else 0.0


def _timed(call: Any, times: int = 20) -> dict[str, float]:
    taken = []
    for _ in range(_WARM + times):
        began = perf_counter()
        call()
        taken.append((perf_counter() - began) * 1e3)
    p50, p99 = np.percentile(taken[_WARM:], [50, 99])
    return {"p50": float(p50), "p99": float(p99), "n": float(times)}


def _tell(facts: Any) -> int:
    sys.stdout.write(json.dumps(facts) + "\n")
    return FINE
