"""Merges in processes of their own, timed, with the peak of their resident memory.

A new process's peak is at least what the process that started it had in memory, so this one imports no torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.errors import MissingTool, RunFailed

VARIABLE = "AGENTFORGE_MERGEKIT"
_OPTIONS = {
    "linear": [], "slerp": ["t=0.5"],
    "dare": ["drop=0.9", "weights=[0.3333, 0.3333, 0.3333]", "normalize=false", "rescale=norm"],
    "ties": ["density=0.2"],
}  # fmt: skip

_WARM_OURS = """
import json, shutil, sys, time
from pathlib import Path
from agentforge.phase2_evomerge.streaming.merge import MergeRequest, merge_models
job = json.loads(sys.argv[1])
seconds = []
for turn in range(job["turns"] + 1):
    out = Path(job["out"])
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    base = Path(job["base"]) if job["base"] else None
    models = tuple(map(Path, job["models"]))
    merge_models(MergeRequest(job["method"], models, out, base=base, options=job["options"]))
    seconds.append(time.perf_counter() - began)
print(json.dumps(seconds[1:]))
"""

_WARM_THEIRS = """
import json, shutil, sys, time
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
job = json.loads(sys.argv[1])
seconds = []
for turn in range(job["turns"] + 1):
    shutil.rmtree(job["out"], ignore_errors=True)
    began = time.perf_counter()
    options = MergeOptions(trust_remote_code=True, copy_tokenizer=True, quiet=True)
    run_merge(MergeConfiguration.model_validate(job["recipe"]), job["out"], options)
    seconds.append(time.perf_counter() - began)
print(json.dumps(seconds[1:]))
"""


def programs(method: str, turns: int) -> dict[str, Any]:
    """The two command lines in turns, after one turn that is not counted."""
    theirs = mergekit_python()
    return with_models(
        lambda place, made: _both(
            place, made, turns, our_program(place, method), their_program(place, method, theirs)
        ),
        method,
    )


def warm(method: str, turns: int) -> dict[str, Any]:
    """Calls in one process each, after a first one that is not counted."""
    theirs = mergekit_python()

    def measured(place: Path, made: Mapping[str, Any]) -> dict[str, Any]:
        job = {**_job(place, method), "turns": turns}
        seconds = {}
        for who, python, code in (("ours", sys.executable, _WARM_OURS), ("theirs", str(theirs), _WARM_THEIRS)):
            done = run([python, "-c", code, json.dumps(job)], place)
            seconds[who] = json.loads(done["out"].splitlines()[-1])
        return {**made, "seconds": seconds}

    return with_models(measured, method)


def large(method: str, turns: int) -> dict[str, Any]:
    """Once: memory is asked for, and 3 × 1.5 B are read from files of 9 GB."""
    del turns

    def measured(place: Path, made: Mapping[str, Any]) -> dict[str, Any]:
        done = run(our_program(place, method), place)
        return {**made, "seconds": done["seconds"], "peak": done["peak"]}

    return with_models(measured, method, size="large")


def _both(
    place: Path, made: Mapping[str, Any], turns: int, ours: Sequence[str], theirs: Sequence[str]
) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    peak: dict[str, list[int]] = {"ours": [], "theirs": []}
    for turn in range(turns + 1):
        for who, command in (("ours", ours), ("theirs", theirs)):
            done = run(command, place)
            if turn:
                seconds[who].append(done["seconds"])
                peak[who].append(done["peak"])
    return {**made, "seconds": seconds, "peak": peak}


def with_models(
    measured: Callable[[Path, Mapping[str, Any]], dict[str, Any]], method: str, size: str = "full"
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="agentforge-merging-") as directory:
        place = Path(directory)
        maker = [sys.executable, "-m", "agentforge.phase2_evomerge.experiments.specimens", size, directory]
        made = json.loads(run(maker, place)["out"].splitlines()[-1])
        return measured(place, {**made, "models": len(_models(method))})


def _models(method: str) -> list[str]:
    """mergekit's SLERP takes two."""
    return ["a", "b"] if method == "slerp" else ["a", "b", "c"]


def _job(place: Path, method: str) -> dict[str, Any]:
    import yaml

    models = [str(place / name) for name in _models(method)]
    base = str(place / "base") if method in ("dare", "ties") else ""
    options = {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in _OPTIONS[method])}
    own: dict[str, Any] = {
        "linear": {"weight": 1.0},
        "dare": {"weight": 0.3333, "density": 0.1},
        "ties": {"weight": 1.0, "density": 0.2},
    }.get(method, {})  # fmt: skip
    recipe: dict[str, Any] = {
        "merge_method": {"dare": "dare_linear"}.get(method, method),
        "models": [{"model": model, "parameters": own} for model in models],
        "dtype": "float32",
    }
    if method == "slerp":
        recipe |= {"base_model": models[0], "parameters": {"t": 0.5}}
    elif base:
        recipe["base_model"] = base
    out = str(place / "out")
    return {"method": method, "models": models, "base": base, "options": options, "recipe": recipe, "out": out}


def our_program(place: Path, method: str) -> list[str]:
    job = _job(place, method)
    command = [
        sys.executable,
        "-m",
        "agentforge.cli",
        "merge",
        method,
        *job["models"],
        "--out",
        job["out"],
        "--json",
    ]
    command += [part for each in _OPTIONS[method] for part in ("--set", each)]
    return [*command, "--base", job["base"]] if job["base"] else command


def their_program(place: Path, method: str, python: Path) -> list[str]:
    import yaml

    job = _job(place, method)
    (place / "recipe.yml").write_text(yaml.safe_dump(job["recipe"]))
    program = str(python.with_name("mergekit-yaml"))
    return [program, "--trust-remote-code", "--quiet", str(place / "recipe.yml"), job["out"]]


def run(command: Sequence[str], place: Path) -> dict[str, Any]:
    """Seconds from start to end, and the highest resident memory, in bytes."""
    import shutil

    shutil.rmtree(place / "out", ignore_errors=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(place / "hf")}
    with (place / "stdout").open("w+") as out, (place / "stderr").open("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            err.seek(0)
            message = f"{command[0]} ended with {process.returncode}: {err.read()[-2000:]}"
            raise RunFailed(message, field=command[0])
        out.seek(0)
        return {"seconds": seconds, "peak": used.ru_maxrss * 1024, "out": out.read()}


def mergekit_python() -> Path:
    python = os.environ.get(VARIABLE, "")
    if not python:
        step = f"Install it in an environment of its own and set {VARIABLE} to that one's Python."
        raise MissingTool("this measures beside mergekit", field=VARIABLE, next_step=step)
    return Path(python)
