"""All ways in turns on one machine, each in a process of its own that waits while another runs. Free of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.phase4_bitnet.experiments.shapes import ALL, EAGER, SHAPES, TURNS

_QUIET_S = 0.05  # after a turn some libraries' threads still spin for a while


def race(name: str, threads: int, files: str, entrant: str) -> dict[str, Any]:
    """Of each way: what runs, its turns' times, and how its logits correlate with plain PyTorch's.

    `files` and `entrant` are the modules to run: one makes the files, the other is a way.
    """
    with TemporaryDirectory(prefix="af-decode-") as folder, ExitStack() as stack:
        command = [sys.executable, "-m", files, name, folder, ALL]
        subprocess.run(command, env=_environment(threads), stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
        entrants = {}
        for way in SHAPES[name].ways:  # one builds at a time
            entrants[way] = stack.enter_context(Entrant(entrant, way, Path(folder), threads))
        for _ in range(TURNS):
            for each in entrants.values():
                each.take_turn()
                time.sleep(_QUIET_S)
        found = {way: each.told for way, each in entrants.items()}
        _add_likeness(found, Path(folder))
    return {"threads": threads, "ways": found}


class Entrant:
    def __init__(self, module: str, way: str, folder: Path, threads: int) -> None:
        command = [sys.executable, "-m", module, way, str(folder), str(threads)]
        self._way = way
        self._process = subprocess.Popen(
            command, env=_environment(threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.told = self._answer()
        self.told["turns"] = []

    def __enter__(self) -> Entrant:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def take_turn(self) -> None:
        if "missing" in self.told:
            return
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self.told["turns"].append(self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._way} ended with {self._process.wait()}; its error is above")
        found: dict[str, Any] = json.loads(line)
        return found


def _environment(threads: int) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def _add_likeness(found: dict[str, dict[str, Any]], folder: Path) -> None:
    import torch

    logits = {way: torch.load(folder / f"{way}.logits") for way in found if "missing" not in found[way]}
    for way, logits_V in logits.items():
        found[way]["correlation"] = float(torch.corrcoef(torch.stack([logits_V, logits[EAGER]]))[0, 1])
