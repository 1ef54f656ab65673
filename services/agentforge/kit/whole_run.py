"""For experiments: a whole phase as a user starts it, the program in a process of its own, on the volume `home`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.digests import digest_json
from agentforge.kit.phase import load_pipeline

_SPAN_S = 1_800.0  # a run that takes longer hangs


def run_phase(
    phase: str, home: Path, settings: Sequence[str], *, inputs: Sequence[Path] = (), preset: str = "tiny"
) -> dict[str, Any]:
    """The last line of `agentforge phase PHASE --json`; an error where the run did not succeed."""
    home.mkdir(parents=True, exist_ok=True)
    chosen = [part for setting in settings for part in ("--set", setting)]
    chosen += [part for path in inputs for part in ("--input", str(path))]
    chosen += ["--preset", preset] if preset else []
    command = [sys.executable, "-m", "agentforge.cli", "phase", phase, *chosen, "--json"]
    process = subprocess.Popen(
        command, env=os.environ | {"AGENTFORGE_HOME": str(home)}, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=_SPAN_S)
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.send_signal(signal.SIGINT)  # the program cancels the run, whose worker has a session of its own
        process.wait(60)
        raise
    line: dict[str, Any] = json.loads(out.splitlines()[-1]) if out.strip() else {}
    if process.returncode:
        why = line["error"]["message"] if line.get("error") else err.strip()
        raise RuntimeError(f"the run ended with {process.returncode}: {why}")
    return line


KEPT_VARIABLE = "AGENTFORGE_KEPT_MODELS"
"""Environment: a directory where models of `pipeline_models` are kept for the next experiment of the same code."""
_MAKERS = ("cognate", "evomerge", "bitnet")


def pipeline_models(home: Path, seed: int) -> dict[str, Path]:
    """What the tiny preset gives: of cognate and evomerge a plain model, and a ternary one of bitnet; on `home`."""
    kept = kept_models(seed)
    if kept is None:
        return _made(home, seed)
    if not kept.is_dir():
        made = _made(home, seed)
        with TemporaryDirectory(dir=kept.parent) as aside:
            for name, model in made.items():
                shutil.copytree(model, Path(aside) / "models" / name)
            (Path(aside) / "models").rename(kept)
    shutil.copytree(kept, home / "kept", dirs_exist_ok=True)
    return {name: home / "kept" / name for name in ("plain", "ternary")}


def kept_models(seed: int) -> Path | None:
    """By seed and by the code that makes them; None where nothing is to be kept."""
    directory = os.environ.get(KEPT_VARIABLE)
    if not directory:
        return None
    Path(directory).mkdir(parents=True, exist_ok=True)
    pipeline = load_pipeline()
    code = digest_json([[name, pipeline.spec(name).code_digest, pipeline.preset("tiny", name)] for name in _MAKERS])
    return Path(directory) / f"{seed}-{code[:16]}"


def _made(home: Path, seed: int) -> dict[str, Path]:
    stages = ("trunk", "reasoning", "memory_integration", "adaptive_computation")
    settings = [f"seed={seed}", *(f"{stage}.train.threads=1" for stage in stages)]
    made = outputs(run_phase("cognate", home, settings))
    parents = [made[stage] for stage in stages]
    plain = outputs(run_phase("evomerge", home, [f"seed={seed}", "threads=1"], inputs=parents))["champion"]
    ternary = outputs(run_phase("bitnet", home, [f"seed={seed}", "train.threads=1"], inputs=[plain]))["model"]
    return {"plain": plain, "ternary": ternary}


def pipeline_model(home: Path, seed: int) -> Path:
    return pipeline_models(home, seed)["ternary"]


def value(line: dict[str, Any], name: str) -> float:
    return float(next(one["value"] for one in line["measurements"] if one["name"] == name))


def accuracies(line: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Model to family to exact accuracy on held-out items: of measurements PHASE/MODEL/accuracy/FAMILY."""
    found: dict[str, dict[str, float]] = {}
    for one in line["measurements"]:
        parts = one["name"].split("/")
        if len(parts) == 4 and parts[2] == "accuracy":
            found.setdefault(parts[1], {})[parts[3]] = one["value"]
    return found


def outputs(line: dict[str, Any]) -> dict[str, Path]:
    return {output["name"]: Path(output["path"]) for output in line["outputs"]}
