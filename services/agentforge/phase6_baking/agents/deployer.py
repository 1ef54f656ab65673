"""DeploymentPreparer: the directory that is handed out, tried by a program that knows nothing of this run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.errors import RunFailed
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.agents import weights
from agentforge.phase6_baking.agents.example import QUESTION
from agentforge.phase6_baking.publish import write
from agentforge.phase6_baking.start import Start

_TRIAL_S = 120.0


def prepare(start: Start, task: Task) -> Outcome:
    told = {name: json.loads((task.inputs[name]).read_bytes()) for name in task.inputs if name.endswith(".json")}
    baked = weights.read(task.inputs["weights"], weights.BAKED, start)
    directory = task.directory / "agent"
    directory.mkdir(exist_ok=True)
    write(directory, start, baked, told, json.loads((task.inputs["weights"] / weights.ROUNDS).read_bytes()))
    said = _try(directory)
    method = "1 where a fresh process loaded the directory and answered a question"
    called = [call["tool"] for call in said.get("calls", [])]
    return Outcome(
        (Measurement("baking/deployable", 1.0, "1", method, 1),), {"said": said["text"], "called": called}
    )


def _try(directory: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "agentforge.cli", "chat", str(directory), "--prompt", QUESTION, "--json"]
    ended = subprocess.run(
        [*command, "--max-new-tokens", "64"], capture_output=True, text=True, timeout=_TRIAL_S, check=False
    )
    if ended.returncode:
        message = f"the finished directory does not answer: {ended.stderr.strip()[-300:]}"
        raise RunFailed(message, reason="NOT_DEPLOYABLE", field="agent")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found
