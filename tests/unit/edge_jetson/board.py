"""A package and a Jetson's file system in a folder whose name has a space, for build_engine.sh."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from agentforge.edge.profiles import profiles
from agentforge.edge.triton import triton_files

EDGE = Path(__file__).parents[3] / "services" / "agentforge" / "edge"
TRTEXEC = Path(__file__).parents[2] / "fakes" / "trtexec_8_5_2.py"
XAVIER = "NVIDIA Jetson AGX Xavier Developer Kit"
BANNER = "v8502"
RELEASE = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug  1 2023\n"
GRAPH: dict[str, Any] = {
    "format": 1, "vocabulary": 11, "hidden": 8, "heads": 2, "head_size": 4, "windows": 2, "window": 32,
    "context": None, "piece": 8, "eos": 1, "bos": None,
    "memory": {"layers": [1], "slots": 16, "chunk": 8, "keep_by": "fifo", "log_decay": -0.1},
}  # fmt: skip
NORMS = ["/layers.0/norm/Mul", "/layers.0/norm/ReduceMean", "node: with a colon"]


class Board:
    def __init__(self, folder: Path) -> None:
        self.root, self.package, self.bin = folder / "the board", folder / "my package", folder / "bin"
        self.engines = self.package / "engines"
        self.shapes = profiles(GRAPH)
        self._package()
        self._file_system()
        self.mode = ""

    def write(self, path: str, text: str) -> Path:
        """Below the board's root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def script(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        told = {"inputs": {name: len(dims) for name, dims in profiles(GRAPH)["decode"]["min"].items()}}
        calls = {"mode": self.mode, "calls": str(self.root / "calls")}
        fake = str(self.write("fake.json", json.dumps({**told, **calls})))
        return subprocess.Popen(
            [str(self.package / "build_engine.sh"), *arguments], text=True, cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": f"{self.bin}:{os.defpath}", "AGENTFORGE_ROOT": str(self.root), "FAKE_TRTEXEC": fake},
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, words = process.communicate(timeout=60)
        return process.returncode, out, words

    @property
    def calls(self) -> list[list[str]]:
        """Every command line that trtexec was given, --help left out."""
        file = self.root / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def plans(self) -> list[Path]:
        return sorted(self.engines.glob("*.plan"))

    @property
    def partials(self) -> list[Path]:
        return sorted(self.engines.glob("*.partial"))

    def _package(self) -> None:
        for name in ("__init__", "errors", "tensorrt_engines", "tensorrt_plan"):
            file = self.package / "runtime" / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(EDGE / "device" / "runtime" / f"{name}.py", file)
        shutil.copy(EDGE / "device" / "jetson" / "build_engine.sh", self.package)
        texts = {
            "models/model.onnx": "a model", "models/model_int8_qdq.onnx": "another",
            "models/graph.json": json.dumps(GRAPH), "models/profiles.json": json.dumps(self.shapes),
            "models/fp32_layers.txt": "\n".join(NORMS) + "\n",
            "calibration/calibration.cache": "TRT-8502-EntropyCalibration2\nx: 3c010a14\n",
            "calibration/provenance.json": "{}",
            "verify.py": "import sys\nopen('verified', 'w').write(' '.join(sys.argv[1:]))\n", **triton_files(GRAPH),
        }  # fmt: skip
        for path, text in texts.items():
            (self.package / path).parent.mkdir(parents=True, exist_ok=True)
            (self.package / path).write_text(text)

    def _file_system(self) -> None:
        self.write("etc/nv_tegra_release", RELEASE)
        self.write("proc/device-tree/model", XAVIER + "\0")
        self.write("proc/device-tree/compatible", "nvidia,p2972-0000\0nvidia,tegra194\0")
        self.write("proc/meminfo", "MemTotal: 32000000 kB\nMemAvailable:   16000000 kB\n")
        python = f'exec "{sys.executable}" -S'
        banner = f"[ \"$1\" = --help ] && exec echo '&&&& RUNNING TensorRT.trtexec [TensorRT {BANNER}] # it --help'"
        self.script(self.root / "usr/src/tensorrt/bin/trtexec", f'{banner}\n{python} "{TRTEXEC}" "$@"')
        self.script(self.bin / "python3", f'{python} "$@"')
