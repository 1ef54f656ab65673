"""The engines that build_engine.sh makes: what goes into one, its name, its sidecar, and why one is refused.

An engine holds for one board, one TensorRT and one model, and TensorRT itself notices only some of the ways in
which it can be wrong. So nothing is loaded whose sidecar does not say exactly what is expected.
Only the standard library, since build_engine.sh uses this (through tensorrt_plan.py) before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from .errors import BrokenPackage

PROFILES = ("decode", "prefill")
MODELS = {"fp16": "model.onnx", "fp32": "model.onnx", "int8": "model_int8_qdq.onnx"}
CALIBRATION = ("calibration/calibration.cache", "calibration/provenance.json")
LONGEST_ARGUMENT = 120_000  # bytes; Linux takes 131,072 in one argument

_WORDS = {
    "device": "was built on {0!r}, this is {1!r}", "sm": "was built for sm_{0}, this device is sm_{1}",
    "tensorrt": "was built with TensorRT {0}, here is {1}", "sha256": "was built from another model file",
    "shapes": "was built for other shapes than models/profiles.json says now",
    "fp32_layers": "was built with other layers in FP32 than models/fp32_layers.txt says now",
}  # fmt: skip


class Device(NamedTuple):
    device: str  # the board, as its device tree says it
    sm: int
    tensorrt: str  # three numbers: engines of 8.5.1 and 8.5.2 do not mix


class Wanted(NamedTuple):
    """One engine: everything it depends on, by name."""

    profile: str
    precision: str
    identity: dict[str, Any]

    @property
    def name(self) -> str:
        key = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:12]
        fields = (self.profile, self.precision, self.identity["sm"], self.identity["tensorrt"], key)
        return "{}.{}.sm{}.trt{}.{}.plan".format(*fields)

    @property
    def shapes(self) -> dict[str, dict[str, list[int]]]:
        shapes: dict[str, dict[str, list[int]]] = self.identity["shapes"]
        return shapes


def wanted(package: Path, device: Device, profile: str, precision: str, dla: int | None = None) -> Wanted:
    file = package / "models" / MODELS[precision]
    identity = dict(device._asdict(), profile=profile, precision=precision, dla=dla, file=file.name)
    identity.update(sha256=digest(file), shapes=_shapes(package / "models" / "profiles.json", profile))
    identity["fp32_layers"] = [] if precision == "fp32" else _layers(package / "models" / "fp32_layers.txt")
    identity["calibration"] = _calibration(package) if precision == "int8" else None
    return Wanted(profile, precision, identity)


def why_not(plan: Path, want: Wanted) -> str:
    """Why this file must not be loaded as `want`; empty if it may."""
    sidecar = plan.with_suffix(".json")
    try:
        told = json.loads(sidecar.read_text(encoding="utf-8"))
        identity, engine = told["identity"], told["engine"]
        differs = [key for key in want.identity if identity.get(key) != want.identity[key]]
        if differs:
            words = _WORDS.get(differs[0], "has another {2}: {0}, wanted is {1}")
            return words.format(identity.get(differs[0]), want.identity[differs[0]], differs[0])
        if engine["bytes"] != plan.stat().st_size or engine["sha256"] != digest(plan):
            return "is not the file that its sidecar describes: changed or cut short"
    except FileNotFoundError:
        return "has no sidecar " + sidecar.name + ": nobody knows where it was built"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"has a sidecar that cannot be read: {error!r}"
    return ""


def seal(partial: Path, plan: Path, want: Wanted, made: dict[str, Any]) -> None:
    """Give a finished engine its name. The sidecar goes first: alone it is none, and its digest fits no other."""
    engine = {"sha256": digest(partial), "bytes": partial.stat().st_size}
    told = {"format": 1, "identity": want.identity, "engine": engine, "made": made}
    draft = plan.with_suffix(".json.partial")
    draft.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(plan.with_suffix(".json"))
    partial.replace(plan)


def others(engines: Path, device: Device) -> Iterator[tuple[str, str]]:
    """Engines that lie here and are not this device's, each with the reason."""
    for plan in sorted(engines.glob("*.plan")):
        try:
            identity = json.loads(plan.with_suffix(".json").read_text(encoding="utf-8"))["identity"]
            differs = [key for key, value in device._asdict().items() if identity[key] != value]
            if differs:
                yield plan.name, _WORDS[differs[0]].format(identity[differs[0]], getattr(device, differs[0]))
        except (OSError, ValueError, KeyError, TypeError):
            yield plan.name, "has no sidecar that can be read: nobody knows where it was built"


def digest(file: Path) -> str:
    try:
        told = file.stat()
    except OSError as error:
        raise BrokenPackage(f"{file} is missing: {error}") from error
    return _digest(str(file), told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest(file: str, _size: int, _changed: int) -> str:
    hashed = hashlib.sha256()
    with Path(file).open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            hashed.update(block)
    return hashed.hexdigest()


def _shapes(file: Path, profile: str) -> dict[str, dict[str, list[int]]]:
    """min, opt and max of every input."""
    try:
        shapes: dict[str, dict[str, list[int]]] = json.loads(file.read_text(encoding="utf-8"))[profile]
        low, best, high = (shapes[bound] for bound in ("min", "opt", "max"))
        if not low or not low.keys() == best.keys() == high.keys():
            raise ValueError("min, opt and max must name the same inputs")
        for name in low:
            triples = list(zip(low[name], best[name], high[name]))
            ordered = all(1 <= first <= middle <= last for first, middle, last in triples)
            if not (ordered and len(low[name]) == len(best[name]) == len(high[name])):
                raise ValueError(f"{name} needs 1 <= min <= opt <= max in every dimension")
        return {bound: shapes[bound] for bound in ("min", "opt", "max")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenPackage(f"{file} has no valid profile {profile}: {error}") from error


def _layers(file: Path) -> list[str]:
    """Names of layers that stay in FP32, one a line. trtexec splits at commas and drops quotes: refuse those."""
    if not file.exists():
        raise BrokenPackage(f"{file} is missing (it may be empty): it names the layers that stay in FP32")
    names = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    for name in names:
        if set(name) & set(",'\t"):
            raise BrokenPackage(f"{file}: trtexec cannot be told of a layer called {name!r}")
    return names


def _calibration(package: Path) -> str:
    """Digest of the cache. Without one, trtexec calibrates on random numbers: meaningless for token ids."""
    for name in CALIBRATION:
        if not (package / name).is_file():
            raise BrokenPackage(f"int8 needs {package / name}, which is missing; take --precision fp16")
    cache = package / CALIBRATION[0]
    first = cache.read_text(encoding="utf-8").partition("\n")[0]
    if not first.startswith("TRT-85") or "Calibration" not in first:
        raise BrokenPackage(f"{cache} is no calibration cache of TensorRT 8.5: it begins with {first[:40]!r}")
    return digest(cache)
