"""What the packager writes for a Jetson: shapes, Triton's config, the README, the unit for systemd."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agentforge.edge.profiles import facts_of, profiles
from agentforge.edge.readme import readme
from agentforge.edge.triton import triton_files
from agentforge.kit.errors import InvalidInput
from tests.unit.edge_jetson.board import EDGE, GRAPH

UNIT = EDGE / "device" / "jetson" / "agentforge-edge.service"


def test_profiles_hold_every_size_that_the_runtime_can_ask_for() -> None:
    made = profiles(GRAPH)
    names = [name for name, _, _ in facts_of(GRAPH).inputs()]
    for shapes in made.values():
        assert [list(shapes[bound]) for bound in ("min", "opt", "max")] == [names] * 3
        assert all(size >= 1 for bound in shapes.values() for dims in bound.values() for size in dims)
    assert made["decode"]["max"]["input_ids"] == [1, 1]
    assert (made["prefill"]["min"]["position"], made["prefill"]["max"]["position"]) == ([1, 2], [1, 8])
    assert made["decode"]["max"]["window.1.value"] == [1, 2, 32, 4]
    assert made["decode"]["opt"]["memory.1.key"] == [1, 4, 8]
    assert made["decode"]["max"]["memory.1.momentum"] == [1]

    whole = {**GRAPH, "window": None, "context": 64, "memory": None, "piece": 16}
    assert profiles(whole)["prefill"]["max"]["past_position"] == [1, 64]
    assert profiles(whole)["prefill"]["opt"]["past_position"] == [1, 16]
    some = profiles(whole, batch=2, inputs=["input_ids", "window.0.key"])["prefill"]["max"]
    assert some == {"input_ids": [2, 16], "window.0.key": [2, 2, 64, 4]}
    with pytest.raises(InvalidInput, match="no largest shape"):
        profiles({**whole, "context": None})
    with pytest.raises(InvalidInput, match=r"has no input memory\.1\.key"):
        profiles(whole, inputs=["memory.1.key"])


Tensors = dict[str, tuple[str, list[int]]]


def parsed(text: str) -> tuple[dict[str, str], dict[str, Tensors]]:
    """Scalars, and inputs and outputs by name; nothing but what config_pbtxt writes may stand there."""
    scalars: dict[str, str] = {}
    tensors: dict[str, Tensors] = {"input": {}, "output": {}}
    tensor = re.compile(r'(input|output) \{ name: "([^"]+)" data_type: (TYPE_\w+) dims: \[ ([-0-9, ]+) \] \}')
    for line in text.splitlines():
        if found := tensor.fullmatch(line):
            assert found[2] not in tensors[found[1]]
            tensors[found[1]][found[2]] = found[3], [int(dim) for dim in found[4].split(",")]
        elif not line.startswith("#"):
            scalar = re.fullmatch(r'(\w+):? ("[^"]*"|\d+|\{ kind: KIND_[CG]PU count: 1 \})', line)
            assert scalar, line
            scalars[scalar[1]] = scalar[2].strip('"')
    return scalars, tensors


def test_triton_is_told_the_contract() -> None:
    files = triton_files(GRAPH)
    assert list(files) == [f"triton/agentforge{end}/config.pbtxt" for end in ("", "_decode", "_prefill")]
    for path, text in files.items():
        scalars, tensors = parsed(text)
        assert scalars["name"] == Path(path).parent.name
        assert scalars["max_batch_size"] == "0"
        assert scalars["backend"] == ("onnxruntime" if scalars["name"] == "agentforge" else "tensorrt")
        types = {"int32": "TYPE_INT32", "float32": "TYPE_FP32"}
        for way, contract in (("input", facts_of(GRAPH).inputs()), ("output", facts_of(GRAPH).outputs())):
            assert tensors[way] == {
                name: (types[kind], [-1 if isinstance(dim, str) else dim for dim in shape])
                for name, kind, shape in contract
            }


def test_readme_says_what_was_and_was_not_verified() -> None:
    about = {
        "name": "adas", "version": "1.2.3", "model": {"parameters": 25_069_534, "kind": "titan", "sources": {}},
        "target": {"device": "Jetson AGX Xavier", "sm": 72, "l4t": "35.x", "tensorrt": "8.5.x", "cuda": "11.4"},
        "variants": {"model.onnx": {"opset": 17, "weights": "float32", "for": "tensorrt"}},
        "verified": ["a thing {with braces}"], "not_verified_here": ["TensorRT"], "not_in_package": [],
    }  # fmt: skip
    text = readme(about, "agentforge-adas")
    assert "# adas 1.2.3" in text
    assert "25,069,534 parameters" in text
    assert "cd agentforge-adas" in text
    assert "- a thing {with braces}\n" in text
    assert "| models/model.onnx | tensorrt (opset 17) | float32 |" in text
    assert "## What is not in here\n\nNothing.\n" in text
    commands = text.split("```sh\n")[1].split("```")[0].splitlines()
    assert len(commands) == 5
    assert not re.search(r"\{[a-z_]+\}", text.replace("{with braces}", ""))
    codes = set(re.findall(r"with (\d+) \|", text))
    script = (EDGE / "device" / "jetson" / "build_engine.sh").read_text()
    assert codes <= set(re.findall(r"\b(?:stop|exit) (\d+)", script)) | {"7"}


def test_the_unit_is_one_that_systemd_takes() -> None:
    settings = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line))
    assert settings["Type"] == "notify"
    assert settings["Restart"] == "on-failure"
    assert int(settings["WatchdogSec"]) > 20  # more than serve.py's own limit of a step, twice
    assert "PrivateDevices" not in settings  # the GPU is a device
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False)
        assert "agentforge-edge" not in done.stderr


def test_what_runs_on_the_device_is_python_3_8() -> None:
    for file in (EDGE / "device" / "runtime").glob("tensorrt_*.py"):
        ast.parse(file.read_text(), feature_version=(3, 8))
