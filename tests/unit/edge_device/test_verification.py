"""verify.py: whole packages pass, others are named; and what it measures is measured."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from agentforge.edge.device.runtime.choose import choose
from agentforge.edge.device.runtime.errors import BrokenPackage, NotPossible
from agentforge.edge.device.runtime.package import Package
from agentforge.edge.device.runtime.tegrastats import Tegrastats, read_line
from agentforge.edge.device.runtime.verification import main

from .toy import seal

# As others recorded them: an AGX Xavier, a Xavier NX (both of L4T 32, without units) and an Orin NX.
XAVIER = (
    "RAM 721/31927MB (lfb 7291x4MB) SWAP 0/15963MB (cached 0MB) CPU [2%@1190,0%@1190,off,off] EMC_FREQ 0%@665 "
    "GR3D_FREQ 0%@318 APE 150 MTS fg 0% bg 0% AO@37.5C GPU@37.5C Tdiode@40C PMIC@100C AUX@36C CPU@37.5C "
    "thermal@36.9C Tboard@37C GPU 0/0 CPU 311/311 SOC 932/932 CV 0/0 VDDRQ 621/621 SYS5V 1482/1482"
)
XAVIER_NX = (
    "RAM 4412/7772MB (lfb 237x4MB) SWAP 139/3886MB (cached 2MB) CPU [9%@1190,6%@1190,4%@1190,8%@1267] EMC_FREQ "
    "10%@1600 GR3D_FREQ 62%@306 APE 150 MTS fg 0% bg 0% AO@41.5C GPU@43C PMIC@100C AUX@41.5C CPU@43.5C "
    "thermal@42.55C VDD_IN 4067/4067 VDD_CPU_GPU_CV 738/738 VDD_SOC 1353/1353"
)
ORIN_NX = (
    "RAM 6334/15388MB (lfb 1770x4MB) SWAP 491/7694MB (cached 0MB) CPU [6%@729,9%@729,off,off] EMC_FREQ 0%@2133 "
    "GR3D_FREQ 0%@611 VIC_FREQ 729 APE 174 CPU@47.937C GPU@45.875C tj@48.875C VDD_IN 5299mW/5299mW "
    "VDD_CPU_GPU_CV 773mW/773mW VDD_SOC 1424mW/1424mW"
)
# A fake of tegrastats: it prints one line of the above again and again.
FAKE = f"#!/bin/sh\n[ \"$1\" = --interval ] || exit 3\nwhile :; do echo '{XAVIER}'; sleep 0.02; done\n"


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "agentforge-toy"))


@pytest.fixture
def fake_tegrastats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "tegrastats"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def verify(root: Path, *more: str) -> tuple[int, Any]:
    code = main(root, ["--threads", "1", "--steps", "60", *more])
    file = root / "verification.json"
    return code, json.loads(file.read_text()) if file.exists() else None


def test_a_whole_package_is_verified_and_measured(copy: Path, fake_tegrastats: None, capsys: Any) -> None:
    code, report = verify(copy, "--json")
    assert code == 0
    assert json.loads(capsys.readouterr().out) == report
    (result,) = report["results"]
    assert result["golden"]["equal"] == 2
    assert result["golden"]["logits_worst"] == 0  # the same library on the same machine
    decode = result["decode"]
    assert 0 < decode["ms_p50"] <= decode["ms_p95"] <= decode["ms_p99"]
    assert decode["n"] == 60
    assert result["prefill"]["tokens"] == 8
    assert result["memory_bytes"]["peak"] > 1 << 20
    power = result["power"]
    assert power["power_mw"]["CPU"]["mean"] == 311
    assert power["whole_mw"] == {"is": "sum of the rails' means", "mean": 311 + 932 + 621 + 1482}
    assert report["device"]["libraries"]["tensorrt"] is None
    assert any(each.startswith("tensorrt: ") for each in report["not_measured"])
    assert verify(copy)[0] == 0  # its own traces are no strangers


def test_what_cannot_be_measured_here_is_said(copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    golden = copy / "golden/golden.json"
    told = json.loads(golden.read_text())
    told["items"][1]["files"]["cpu_fp32.onnx"]["ids"][3] ^= 1
    golden.write_text(json.dumps(told))
    seal(copy)
    monkeypatch.setenv("PATH", "")
    code, report = verify(copy)
    said = capsys.readouterr().out
    assert code == 1
    assert "not measured here: power and temperatures (no tegrastats)" in said
    assert "MISMATCH: 1 of 2 answers equal" in said
    assert [each["token"] for each in report["results"][0]["golden"]["differences"]] == [3]
    assert report["results"][0]["power"] is None


def tamper(root: Path, what: str) -> str:
    if what == "changed":
        file = root / "models/graph.json"
        file.write_text(file.read_text().replace("96", "97"))
        return "models/graph.json: its content is not what the manifest says"
    if what == "shorter":
        (root / "edge.protoset").write_bytes(b"")
        return "edge.protoset: 0 bytes"
    if what == "missing":
        (root / "runtime/state.py").unlink()
        return "runtime/state.py: No such file"
    if what == "added":
        (root / "numpy.py").write_text("print('not numpy')")
        return "numpy.py: it was not packed"
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["files"]["../../secret"] = manifest["files"].pop("edge.protoset")
    (root / "manifest.json").write_text(json.dumps(manifest))
    return "../../secret: the manifest names a path outside of the package"


@pytest.mark.parametrize("what", ["changed", "shorter", "missing", "added", "escaping"])
def test_a_tampered_package_names_the_file(copy: Path, what: str, capsys: Any) -> None:
    words = tamper(copy, what)
    assert verify(copy) == (2, None)
    assert words in capsys.readouterr().err


def test_a_broken_manifest_golden_or_model_is_told(copy: Path, capsys: Any) -> None:
    (copy / "golden/golden.json").write_text('{"format": 1, "items": [], "tolerance": {}}')
    seal(copy)
    assert verify(copy) == (2, None)
    assert "does not hold golden prompts" in capsys.readouterr().err
    (copy / "manifest.json").write_text("{}")
    assert verify(copy)[0] == 2
    assert "is not the manifest of a package" in capsys.readouterr().err


def test_a_model_that_does_not_load_is_a_failure_and_no_crash(copy: Path, capsys: Any) -> None:
    (copy / "models/cpu_fp32.onnx").write_bytes(b"no model")
    seal(copy)
    code, report = verify(copy)
    assert (code, report["ok"]) == (1, False)
    assert "FAILED: BrokenPackage: onnxruntime cannot load cpu_fp32.onnx" in capsys.readouterr().out


def test_the_choice_is_told_or_refused(copy: Path) -> None:
    package = Package(copy)
    with pytest.raises(NotPossible, match="nothing can run the model: tensorrt: "):
        choose(package, "tensorrt")
    with pytest.raises(NotPossible, match=r"other\.onnx: nothing here can run it"):
        choose(package, "onnxruntime", "other.onnx")
    assert choose(package, "onnxruntime", "cpu_fp32.onnx", 1).reason == "asked for"
    (copy / "models/cpu_fp32.onnx").write_bytes(b"no model")
    with pytest.raises(NotPossible, match=r"cannot load cpu_fp32\.onnx"):
        choose(package)
    (copy / "models/graph.json").write_text("")
    with pytest.raises(BrokenPackage):
        package.graph()


def test_lines_of_tegrastats_are_read() -> None:
    rails, zones = read_line(XAVIER)
    assert rails == {"GPU": 0, "CPU": 311, "SOC": 932, "CV": 0, "VDDRQ": 621, "SYS5V": 1482}
    assert zones == {
        "AO": 37.5, "GPU": 37.5, "Tdiode": 40, "AUX": 36, "CPU": 37.5, "thermal": 36.9, "Tboard": 37,
    }  # fmt: skip
    rails, zones = read_line(XAVIER_NX)
    assert rails == {"VDD_IN": 4067, "VDD_CPU_GPU_CV": 738, "VDD_SOC": 1353}
    rails, zones = read_line(ORIN_NX)
    assert rails == {"VDD_IN": 5299, "VDD_CPU_GPU_CV": 773, "VDD_SOC": 1424}
    assert zones == {"CPU": 47.937, "GPU": 45.875, "tj": 48.875}
    assert read_line("GPU@-256C CPU@40C") == ({}, {"CPU": 40})  # a part that sleeps


def test_a_tegrastats_that_says_nothing_is_no_measurement(tmp_path: Path) -> None:
    program = tmp_path / "tegrastats"
    program.write_text("#!/bin/sh\necho nothing\n")
    program.chmod(0o755)
    with Tegrastats(program=str(program)) as power:
        pass
    assert power.summary() is None
    assert "told of no rail and no zone" in power.why_not
