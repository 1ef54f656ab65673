"""build_engine.sh against a fake trtexec 8.5.2 and a fake board."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.trtexec_8_5_2 import FLAGS, Wrong, check, parse, shapes
from tests.unit.edge_jetson.board import EDGE, NORMS, XAVIER, Board

SCRIPT = EDGE / "device" / "jetson" / "build_engine.sh"


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_fp16_is_built_once_and_named_by_all_that_it_holds_for(board: Board) -> None:
    code, _, words = board.run("--triton")
    assert code == 0, words
    assert [plan.name.rpartition(".")[0].rpartition(".")[0] for plan in board.plans] == [
        "decode.fp16.sm72.trt8.5.2", "prefill.fp16.sm72.trt8.5.2",
    ]  # fmt: skip
    decode, prefill = (parse(call) for call in board.calls)
    assert shapes(decode["--maxShapes"[2:]]) == board.shapes["decode"]["max"]
    assert shapes(prefill["minShapes"]) == board.shapes["prefill"]["min"]
    assert decode["onnx"] == str(board.package / "models" / "model.onnx")
    assert decode["precisionConstraints"] == "obey"
    assert decode["layerPrecisions"] == decode["layerOutputTypes"] == ",".join(f"{name}:fp32" for name in NORMS)
    assert "fp16" in decode
    assert "buildOnly" in decode
    assert not {"int8", "noTF32", "useDLACore"} & set(decode)
    sidecar = json.loads(board.plans[0].with_suffix(".json").read_text())
    assert (sidecar["identity"]["device"], sidecar["identity"]["sm"]) == (XAVIER, 72)
    assert sidecar["made"]["l4t"] == "35.4.1"
    assert (board.package / "verified").read_text() == "--backend tensorrt"
    linked = board.engines / "triton" / "agentforge_decode" / "1" / "model.plan"
    assert linked.resolve() == board.plans[0]

    (board.package / "verify.py").write_text("raise SystemExit(1)")
    code, _, words = board.run()
    assert code == 9
    assert "was built before" in words
    assert "verify.py says no" in words
    assert len(board.calls) == 2

    (board.package / "models" / "model.onnx").write_text("a newer model")
    assert board.run("--no-verify")[0] == 0
    assert len(board.calls) == 4
    assert len(board.plans) == 4


def test_what_each_precision_asks_of_trtexec(board: Board) -> None:
    lines = {each: board.run("--dry-run", f"--precision={each}") for each in ("fp32", "int8")}
    lines["dla"] = board.run("--dry-run", "--dla", "0")
    assert {code for code, _, _ in lines.values()} == {0}
    assert not board.engines.exists()
    assert "--noTF32" in lines["fp32"][1]
    assert "layerPrecisions" not in lines["fp32"][1]
    assert "--int8 --fp16" in lines["int8"][1]
    assert "model_int8_qdq.onnx" in lines["int8"][1]
    assert "--calib=" in lines["int8"][1]
    assert "--useDLACore=0 --allowGPUFallback" in lines["dla"][1]
    for _, out, _ in lines.values():
        commands = subprocess.run(["bash", "-c", f"set -- {out.splitlines()[1]}; printf '%s\\0' \"$@\""],
                                  capture_output=True, text=True, check=True).stdout.split("\0")[1:-1]  # fmt: skip
        check(parse(commands))  # as the fake would: no word of a path with spaces is torn


def test_every_flag_in_the_script_is_one_of_8_5_2() -> None:
    emitted = set(re.findall(r"(?:[\"( +]|^)--([A-Za-z0-9]+)(?==| |\"|\))", SCRIPT.read_text(), re.M))
    ours = set(re.findall(r"^  --([a-z0-9-]+)", SCRIPT.read_text(), re.M))
    used = {flag for flag in emitted - ours if any(letter.isupper() for letter in flag)} | {"onnx", "calib", "int8"}
    assert len(used) > 10
    assert used <= FLAGS
    assert not {"skipInference", "builderOptimizationLevel", "stronglyTyped", "versionCompatible"} & FLAGS


def test_the_fake_refuses_what_8_5_2_refuses() -> None:
    for flag in ("--skipInference", "--builderOptimizationLevel=3", "--stronglyTyped", "--fp16 --fp16"):
        with pytest.raises(Wrong, match="Unknown option"):
            parse(["--onnx=x", *flag.split()])
    for flag in ("--memPoolSize=scratch:3", "--precisionConstraints=strict", "--layerPrecisions=a:bf16"):
        with pytest.raises(Wrong):
            check(parse(["--onnx=x", flag]))


def test_an_engine_from_elsewhere_is_refused(board: Board) -> None:
    assert board.run("--no-verify", "--precision", "int8")[0] == 0
    foreign = board.plans[0]
    told = json.loads(foreign.with_suffix(".json").read_text())
    told["identity"]["device"] = "NVIDIA Jetson Xavier NX"
    foreign.with_suffix(".json").write_text(json.dumps(told))
    code, _, words = board.run("--no-verify", "--precision", "int8")
    assert code == 6
    assert "was built on 'NVIDIA Jetson Xavier NX', this is 'NVIDIA Jetson AGX Xavier" in words
    foreign.with_suffix(".json").unlink()
    code, _, words = board.run("--no-verify", "--precision", "int8", "--force")
    assert code == 0, words

    # The same folder on another board: named otherwise, so never looked at, but told.
    board.write("proc/device-tree/model", "NVIDIA Orin NX Developer Kit\0")
    board.write("proc/device-tree/compatible", "nvidia,p3768\0nvidia,tegra234\0")
    board.mode = "oom"  # what comes first is enough
    code, _, words = board.run("--precision", "int8")
    assert code == 5
    assert words.count("not used: engines/") == 2
    assert "building engines/decode.int8.sm87.trt8.5.2." in words


@pytest.mark.parametrize(
    ("path", "text", "code", "words"),
    [
        ("etc/nv_tegra_release", "# R32 (release), REVISION: 7.3, GCID: 1\n", 3, "L4T here is 32.7.3"),
        ("proc/device-tree/compatible", "nvidia,p3450-0000\0nvidia,tegra210\0", 3, "neither Xavier"),
        ("proc/meminfo", "MemAvailable: 1500000 kB\n", 5, "too little memory: 1464 MiB"),
        ("usr/src/tensorrt/bin/trtexec", "", 4, "no trtexec"),
    ],
)
def test_a_board_that_cannot_build(board: Board, path: str, text: str, code: int, words: str) -> None:
    board.write(path, text)
    if not text:
        (board.root / path).chmod(0o644)
    found, _, said = board.run()
    assert found == code
    assert words in said
    assert not board.calls
    assert not board.plans


def test_another_host_is_told_what_else_it_can_do(board: Board) -> None:
    shutil.rmtree(board.root / "proc")
    shutil.rmtree(board.root / "etc")
    code, _, words = board.run()
    assert code == 3
    assert "this is no Jetson" in words
    assert "onnxruntime" in words
    code, out, words = board.run("--dry-run")
    assert code == 3
    assert out.count("--onnx=") == 2
    assert "would stop here (3)" in words


def test_another_l4t_or_tensorrt(board: Board) -> None:
    board.write("etc/nv_tegra_release", "# R32 (release), REVISION: 7.3, GCID: 1\n")
    assert board.run("--any-l4t", "--dry-run")[0] == 0
    trtexec = board.root / "usr/src/tensorrt/bin/trtexec"
    trtexec.write_text(trtexec.read_text().replace("v8502", "v100600"))
    code, _, words = board.run("--any-l4t")
    assert code == 4
    assert "TensorRT here is 100600" in words


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [("oom", 5, "out of memory"), ("killed", 5, "out of memory"), ("disk", 5, "could not be written"),
     ("cut", 8, "trtexec ended with 1"), ("hang", 8, "not done within 1 s")],
)  # fmt: skip
def test_a_failed_build_leaves_no_engine(board: Board, mode: str, code: int, words: str) -> None:
    board.mode = mode
    found, _, said = board.run("--time-limit", "1")
    assert found == code, said
    assert words in said
    assert not board.plans
    assert not board.partials
    assert list(board.engines.glob("*.log"))


def test_a_folder_that_cannot_be_written_to(board: Board) -> None:
    (board.engines / ".lock").mkdir(parents=True)
    code, _, words = board.run()
    assert code == 5
    assert "cannot write to" in words
    assert not board.calls


def test_a_full_disk_is_told_before_the_build(board: Board) -> None:
    board.script(board.bin / "df", "printf 'Filesystem 1024-blocks Used Available\\n/dev/x 9 9 40000 0 /\\n'")
    code, _, words = board.run()
    assert code == 5
    assert "the disk is full: 39 MiB free" in words


def test_killed_in_the_middle_leaves_no_engine_and_lets_nobody_else_in(board: Board) -> None:
    board.mode = "hang"
    process = board.start()
    until = time.monotonic() + 20
    while not board.partials and time.monotonic() < until:
        time.sleep(0.02)
    assert board.partials
    assert board.run()[0] == 75
    os.kill(process.pid, signal.SIGTERM)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "no engine was left half built" in words
    assert not board.plans
    assert not board.partials
    board.mode = ""
    assert board.run("--no-verify")[0] == 0


@pytest.mark.parametrize(
    ("file", "text", "arguments", "words"),
    [
        ("models/profiles.json", "{}", [], "has no valid profile decode"),
        (
            "models/profiles.json",
            '{"decode": {"min": {"a": [0]}, "opt": {"a": [1]}, "max": {"a": [1]}}}',
            [],
            "<= min",
        ),
        ("models/fp32_layers.txt", "a,b\n", [], "cannot be told of a layer called 'a,b'"),
        ("models/model.onnx", None, [], "models/model.onnx is missing"),
        ("calibration/provenance.json", None, ["--precision", "int8"], "int8 needs"),
        ("calibration/calibration.cache", "x: 1\n", ["--precision", "int8"], "is no calibration cache"),
    ],
)
def test_a_package_that_is_not_whole(
    board: Board, file: str, text: str | None, arguments: list[str], words: str
) -> None:
    (board.package / file).unlink()
    if text is not None:
        (board.package / file).write_text(text)
    code, _, said = board.run(*arguments)
    assert code == 7
    assert words in said
    assert not board.calls


def test_an_input_without_a_shape_is_no_engine(board: Board) -> None:
    """trtexec warns and takes size 1."""
    for bounds in board.shapes.values():
        for shapes_of in bounds.values():
            del shapes_of["memory.1.momentum"]
    (board.package / "models" / "profiles.json").write_text(json.dumps(board.shapes))
    code, _, words = board.run()
    assert code == 7
    assert "lacks an input" in words
    assert "memory.1.momentum" in words
    assert not board.plans
    assert not board.partials


@pytest.mark.parametrize(
    "arguments", [["--precision", "bf16"], ["--workspace", "lots"],
                  ["--time-limit=08"], ["--precision"], ["--dla", "7"], ["--fast"],
                  ["--dla", "0", "--precision", "int8"]],
)  # fmt: skip
def test_wrong_usage(board: Board, arguments: list[str]) -> None:
    assert board.run(*arguments)[0] == 2


SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not here")
def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run([str(SHELLCHECK), str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
