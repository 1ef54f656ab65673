"""A package of a model with eight tokens that says the next one: every part is there, and the whole is small."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agentforge.edge.package.manifest import About, Manifest, Source, Variant
from agentforge.edge.package.manifest import write_manifest as write_it

VOCABULARY = 8
OPSETS = {"model.onnx": 17, "model_int8_qdq.onnx": 17, "cpu_fp32.onnx": 21}
FACTS = {
    "format": 1, "vocabulary": VOCABULARY, "hidden": 4, "heads": 1, "head_size": 2, "windows": 1, "window": 16,
    "context": 64, "piece": 64, "memory": None, "eos": None, "bos": None,
}  # fmt: skip
VERIFY = """
import json, os, sys
import numpy, onnxruntime

here = os.path.dirname(os.path.abspath(__file__))
golden = json.load(open(os.path.join(here, "golden", "golden.json")))
session = onnxruntime.InferenceSession(os.path.join(here, "models", "cpu_fp32.onnx"))
wrong = 0
for item in golden["items"]:
    ids = list(item["ids"])
    for wanted in item["files"]["cpu_fp32.onnx"]["ids"]:
        given = {"input_ids": numpy.array([ids], "i4"), "position": numpy.arange(len(ids), dtype="i4")[None]}
        given["past_position"] = numpy.zeros((1, 0), "i4")
        given["window.0.key"] = given["window.0.value"] = numpy.zeros((1, 1, 0, 2), "f4")
        ids.append(int(session.run(["logits"], given)[0].argmax()))
        wrong += ids[-1] != wanted
print(json.dumps({"summary": "%d answers differ" % wrong, "not_measured": ["tensorrt: not installed"]}))
if wrong:
    print("MISMATCH", file=sys.stderr)
sys.exit(1 if wrong else 0)
"""


def profile(time: int) -> dict[str, dict[str, list[int]]]:
    """Shapes from the smallest to the largest; most in one call: `time` tokens."""

    def shapes(new: int, past: int) -> dict[str, list[int]]:
        held = {f"window.0.{part}": [1, 1, past, 2] for part in ("key", "value")}
        return {"input_ids": [1, new], "position": [1, new], "past_position": [1, past], **held}

    return {"min": shapes(1, 1), "opt": shapes(time, 8), "max": shapes(time, 16)}


TEXTS = {
    "README.md": "# A toy\n",
    "build_engine.sh": '#!/bin/bash\nset -eu\nif [ -z "${1:-}" ]; then exit 2; fi\n',
    "verify.py": VERIFY,
    "serve.py": "print('serving')\n",
    "requirements.txt": "numpy==1.24.4\n",
    "edge.proto": 'syntax = "proto3";\n',
    "edge.protoset": "\n",
    "models/graph.json": json.dumps(FACTS),
    "models/profiles.json": json.dumps({name: profile(time) for name, time in (("decode", 1), ("prefill", 64))}),
    "models/fp32_layers.txt": "flat\n",
    "tokenizer/tokenizer.json": "{}",
    "systemd/agentforge-edge.service": "[Unit]\n",
    "runtime/__init__.py": "",
    "runtime/state.py": "def first(values: list) -> int:\n    return values[0]\n",
    "triton/toy/config.pbtxt": 'name: "toy"\n',
}


def graph(opset: int) -> onnx.ModelProto:
    """logits of the last token: high where the id is one more. Keys and values are made of the ids alone."""
    shapes = {"input_ids": ["batch", "time"], "position": ["batch", "time"], "past_position": ["batch", "past"]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name, shape in shapes.items()]
    past: list[str | int] = ["batch", 1, "past", 2]
    new: list[str | int] = ["batch", 1, "time", 2]
    parts = ("key", "value")
    inputs += [helper.make_tensor_value_info(f"window.0.{p}", TensorProto.FLOAT, past) for p in parts]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", VOCABULARY])]
    outputs += [helper.make_tensor_value_info(f"new.0.{p}", TensorProto.FLOAT, new) for p in parts]
    next_VV = np.roll(np.eye(VOCABULARY, dtype=np.float32), 1, axis=1)
    small_VK = np.arange(2 * VOCABULARY, dtype=np.float32).reshape(VOCABULARY, 2)
    weights = {"next": next_VV, "small": small_VK, "last": np.array(-1), "axis": np.array([1])}
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Gather", ["next", "input_ids"], "all", {}),
        ("Gather", ["all", "last"], "logits", {"axis": 1}),
        ("Gather", ["small", "input_ids"], "flat", {}),
        *(("Unsqueeze", ["flat", "axis"], f"new.0.{p}", {}) for p in parts),
    ]
    nodes = [helper.make_node(op, taken, [given], name=given, **more) for op, taken, given, more in steps]
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    made = helper.make_graph(nodes, "toy", inputs, outputs, held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def about(**changed: object) -> About:
    variants = {
        name: Variant(opset=opset, weights="float32", meant_for="tensorrt" if opset == 17 else "onnxruntime")
        for name, opset in OPSETS.items()
    }
    return About(
        name="toy", version="1.0.0", model=Source(parameters=80, kind="toy", sources={}), variants=variants,
        profiles={"decode": {"time": 1}}, precision="fp32", verified=["nothing: it is a toy"],
        not_verified_here=["accuracy"], not_in_package=["thoughts"],
    ).model_copy(update=changed)  # fmt: skip


def stage(place: Path) -> Path:
    for path, text in TEXTS.items():
        write(place, path, text.encode())
    for name, opset in OPSETS.items():
        write(place, f"models/{name}", graph(opset).SerializeToString(deterministic=True))
    write(place, "calibration/calibration.cache", cache({"flat": 0.5, "logits": 0.01}))
    model = hashlib.sha256((place / "models/model.onnx").read_bytes()).hexdigest()
    write(place, "calibration/provenance.json", json.dumps({"model_sha256": model}).encode())
    item = {"prompt": "abc", "ids": [0, 1, 2], "files": {"cpu_fp32.onnx": {"ids": [3, 4, 5]}}}
    golden = {"format": 1, "items": [item], "tolerance": {"cpu_fp32.onnx": {"logits": 0.0, "answers": 1.0}}}
    write(place, "golden/golden.json", json.dumps(golden).encode())
    write_manifest(place)
    return place


def write_manifest(place: Path, **changed: object) -> Manifest:
    return write_it(place, about(**changed))


def cache(scales: dict[str, float]) -> bytes:
    lines = [f"{name}: {struct.pack('>f', scale).hex()}" for name, scale in scales.items()]
    return "\n".join(["TRT-8502-EntropyCalibration2", *lines, ""]).encode()


def write(place: Path, path: str, data: bytes) -> None:
    (place / path).parent.mkdir(parents=True, exist_ok=True)
    (place / path).write_bytes(data)


def zeros(gigabytes: int) -> bytes:
    """That many of zeros, as gzip members one after another."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    member = deflate.compress(bytes(1 << 26)) + deflate.flush()
    return member * (gigabytes << 4)
