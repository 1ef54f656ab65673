"""agent.pyz: one file that any Python 3.8 with numpy runs. It is asked as a process of its own, line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import InvalidInput, RunFailed, Violation
from agentforge.phase8_compression.formats import compressed
from agentforge.phase8_compression.formats.face import Described, Format, Made, Options

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

FILE = "agent.pyz"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    from agentforge.edge.solo.build import build

    with tempfile.TemporaryDirectory(dir=directory) as aside:
        compressed.put(model, codec, Path(aside), options)
        build(Path(aside), directory / FILE, golden=options.golden)
    return Made(directory, (FILE,), {FILE: not options.plan}, {"threads": options.threads})


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    """One by one: it has no use for `batch`."""
    from agentforge.train.evaluate import ROOM

    asked = [
        {"prompt": item.prefix + item.prompt, "max_tokens": len(codec.ids(item.completion)) + ROOM}
        for item in items
    ]
    threads = {name: str(made.told["threads"]) for name in _THREADS} if made.told["threads"] else {}
    done = subprocess.run(
        [sys.executable, "-I", str(made.path(FILE)), "--serve-stdin"],
        input="".join(json.dumps(each) + "\n" for each in asked), env={**os.environ, **threads},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(asked):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        message = f"{FILE} ended with {done.returncode} after {len(lines)} of {len(asked)} answers: {last}"
        raise RunFailed(message, reason="FORMAT_BROKEN", field=FILE)
    return [_text(json.loads(line)) for line in lines]


def _text(told: dict[str, Any]) -> str:
    if "error" in told:
        raise RunFailed(f"{FILE} refused a question: {told['error']}", reason="FORMAT_BROKEN", field=FILE)
    text: str = told["text"]
    return text


def cannot(described: Described, options: Options) -> list[Violation]:
    from agentforge.edge.solo.models import check_model

    try:
        check_model(dict(described))
    except InvalidInput as error:
        return error.at("formats.runner")
    return []


FORMAT = Format("runner", (FILE,), True, {}, make, answers, cannot)
