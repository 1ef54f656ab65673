"""A fake of trtexec 8.5.2: it parses flags by that version's rules, refuses what it refuses, in its words, and
writes a file where the real one writes an engine. It builds nothing.

Facts from samples/common/sampleOptions.cpp and sampleEngines.cpp of TensorRT's open-source release 8.5.2. Told by
FAKE_TRTEXEC, a JSON file: {"inputs": {name: rank} of the ONNX file, "mode": "" | "oom" | "killed" |
"hang" | "disk" | "cut", "calls": file to which every command line is appended as JSON}.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

FLAGS = frozenset({
    "allowGPUFallback", "avgRuns", "avgTiming", "batch", "best", "buildOnly", "calib", "consistency", "device",
    "directIO", "dumpLayerInfo", "dumpOutput", "dumpProfile", "dumpRefit", "duration", "exportLayerInfo",
    "exportOutput", "exportProfile", "exportTimes", "explicitBatch", "explicitPrecision", "exposeDMA", "fp16",
    "heuristic", "idleTime", "inputIOFormats", "int8", "iterations", "layerOutputTypes", "layerPrecisions",
    "loadEngine", "loadInputs", "maxBatch", "maxShapes", "maxShapesCalib", "memPoolSize", "minShapes",
    "minShapesCalib", "minTiming", "noBuilderCache", "noDataTransfers", "noTF32", "nvtxMode", "onnx",
    "optShapes", "optShapesCalib", "output", "outputIOFormats", "percentile", "persistentCacheRatio", "plugins",
    "precisionConstraints", "preview", "profilingVerbosity", "refit", "restricted", "safe", "saveEngine",
    "separateProfileRun", "shapes", "sleepTime", "sparsity", "streams", "tacticSources", "threads",
    "timeDeserialize", "timeRefit", "timingCacheFile", "useCudaGraph", "useDLACore", "useManagedMemory",
    "useSpinWait", "verbose", "warmUp", "workspace",
})  # fmt: skip
TYPES = ("fp32", "fp16", "int8", "int32")
ENGINE = b"ftrt fake engine "


class Wrong(Exception):
    """What the real one calls an invalid argument."""


def log(level: str, words: str) -> None:
    print(f"[11/22/2026-00:00:00] [{level}] {words}", flush=True)


def main(argv: list[str]) -> int:
    told = json.loads(Path(os.environ["FAKE_TRTEXEC"]).read_text())
    test = f"TensorRT.trtexec [TensorRT v8502] # {' '.join(argv)}"
    print(f"&&&& RUNNING {test}", flush=True)
    if not argv[1:] or {"--help", "-h"} & set(argv[1:]):
        print("=== Model Options ===\n  --onnx=<file>               ONNX model")
        return 0
    with Path(told["calls"]).open("a") as calls:
        calls.write(json.dumps(argv[1:]) + "\n")
    try:
        flags = parse(argv[1:])
        check(flags)
    except Wrong as error:
        for line in str(error).splitlines():
            log("E", line)
        print("=== Model Options ===\n  --onnx=<file>               ONNX model")
        print(f"&&&& FAILED {test}")
        return 1
    passed = build(flags, told)
    print(f"&&&& {'PASSED' if passed else 'FAILED'} {test}", flush=True)
    return 0 if passed else 1


def parse(arguments: list[str]) -> dict[str, str]:
    """--name=value, cut at the first equals sign; a flag given twice is left over, and so unknown."""
    flags: dict[str, str] = {}
    unknown: list[str] = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name[:2] == "--" and name[2:] in FLAGS and name[2:] not in flags:
            flags[name[2:]] = value
        else:
            unknown.append(f"Unknown option: {name} {value}")
    if unknown:
        raise Wrong("\n".join(unknown))
    return flags


def check(flags: dict[str, str]) -> None:
    if "onnx" not in flags and "loadEngine" not in flags:
        raise Wrong("Model missing or format not recognized")
    if "loadEngine" in flags and "saveEngine" in flags:
        raise Wrong("Incompatible load and save engine options selected")
    if flags.get("precisionConstraints", "none") not in ("obey", "prefer", "none"):
        raise Wrong(f"Unknown precision constraints: {flags['precisionConstraints']}")
    for pool in filter(None, flags.get("memPoolSize", "").split(",")):
        name, _, size = pool.rpartition(":")
        if name not in ("workspace", "dlaSRAM", "dlaLocalDRAM", "dlaGlobalDRAM"):
            raise Wrong(f"Unknown memory pool: {name}")
        if not re.fullmatch(r"\d+(\.\d+)?", size):
            raise Wrong("stod")
    for name in ("layerPrecisions", "layerOutputTypes"):
        for pair in filter(None, flags.get(name, "").split(",")):
            if pair.rpartition(":")[2] not in TYPES:
                raise Wrong(f"Invalid DataType {pair.rpartition(':')[2]}")


def shapes(text: str) -> dict[str, list[int]]:
    """name:1x2,name:3 - the name ends at the last colon, single quotes vanish."""
    pairs = [pair.rpartition(":") for pair in text.split(",") if pair]
    return {name.replace("'", ""): [int(each) for each in dims.split("x")] for name, _, dims in pairs}


def build(flags: dict[str, str], told: dict[str, object]) -> bool:
    inputs: dict[str, int] = told["inputs"]  # type: ignore[assignment]
    model = Path(flags["onnx"])
    if not model.is_file():
        return failed("Failed to parse onnx file", "Parsing model failed")
    bounds = [shapes(flags.get(name, "")) for name in ("minShapes", "optShapes", "maxShapes")]
    if unknown := sorted(set().union(*bounds) - set(inputs)):
        quoted = f'Cannot find input tensor with name "{unknown[0]}" in the network inputs!'
        return failed(f"{quoted} Please make sure the input tensor names are correct.", "Building engine failed")
    for name, rank in inputs.items():
        if name not in bounds[0]:  # only a warning, as with the real one
            log("W", f"Dynamic dimensions required for input: {name}, but no shapes were provided. "
                f"Automatically overriding shape to: {'x'.join(['1'] * rank)}")  # fmt: skip
            continue
        low, best, high = (bound[name] for bound in bounds)
        if not len(low) == len(best) == len(high) == rank:
            return failed("Error in set dimensions to profile MIN", "Network And Config setup failed")
        if not all(0 <= a <= b <= c for a, b, c in zip(low, best, high, strict=True)):
            return failed("Required optimization profile is invalid", "Network And Config setup failed")
    return write(flags, str(told["mode"]), model)


def write(flags: dict[str, str], mode: str, model: Path) -> bool:
    if cache := flags.get("timingCacheFile"):
        if not Path(cache).is_file():
            log("W", f"Could not read timing cache from: {cache}. A new timing cache will be written.")
        Path(cache).write_bytes(b"timing")
    target = Path(flags["saveEngine"])
    if mode == "oom":
        return failed("1: [virtualMemoryBuffer.cpp::resizePhysical::144] Error Code 2: OutOfMemory (no further "
                      "information)", "Engine could not be created from network")  # fmt: skip
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode in ("hang", "disk", "cut"):
        target.write_bytes(ENGINE[:4])
    if mode == "hang":
        time.sleep(60)
    if mode == "cut":
        return failed("a failure after a part was written")
    if mode == "disk":
        return failed("Saving engine to file failed.")
    target.write_bytes(ENGINE + model.read_bytes())
    log(
        "I", "Skipped inference phase since --buildOnly is added." if "buildOnly" in flags else "Starting inference"
    )
    return True


def failed(*words: str) -> bool:
    for each in (*words, "Engine set up failed"):
        log("E", each)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv))
