"""Golden prompts: what the host's answers were, and how far this device's may be from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from .errors import BrokenPackage
from .generate import Engine
from .state import State
from .text import Text


class Expected(NamedTuple):
    """One prompt, and what one file answered on the host."""

    prompt: str
    prompt_ids: list[int]
    ids: list[int]
    top: list[int]  # tokens whose logits after the prompt are told
    logits: list[float]


class Golden(NamedTuple):
    expected: list[Expected]
    logit_tolerance: float  # absolute
    least_equal: float  # share of prompts whose whole answer must be the same


def load_golden(file: Path) -> dict[str, Golden]:
    """By the name of the file in models/."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["format"] != 1:
            raise ValueError("only format 1 is known")
        names = sorted({name for item in told["items"] for name in item["files"]})
        if not names:
            raise ValueError("it asks nothing")
        return {PurePosixPath(name).name: _golden(told, name) for name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenPackage(f"{file} does not hold golden prompts: {error!r}") from error


def _golden(told: dict[str, Any], name: str) -> Golden:
    expected = []
    for item in told["items"]:
        if name in item["files"]:
            answer = item["files"][name]
            top = answer["logits"]
            expected.append(Expected(item["prompt"], item["ids"], answer["ids"], top["top"], top["values"]))
    bounds = told["tolerance"][name]
    return Golden(expected, float(bounds["logits"]), float(bounds["answers"]))


def replay(engine: Engine, text: Text, golden: Golden) -> dict[str, Any]:
    """Ask every prompt again. `differences` names the first token at which an answer leaves the host's."""
    worst, equal, differences, spelt_otherwise = 0.0, 0, [], []
    for item in golden.expected:
        if text.encode(item.prompt) != item.prompt_ids:
            spelt_otherwise.append(item.prompt)
        ids, logits_V = greedy(engine, item.prompt_ids, len(item.ids))
        away = np.abs(logits_V[item.top] - np.array(item.logits)).max()
        worst = max(worst, float(away)) if np.isfinite(away) else float("inf")
        if ids == item.ids:
            equal += 1
        else:
            differences.append({"prompt": item.prompt, "token": _first_difference(ids, item.ids), "ids": ids})
    share = equal / len(golden.expected)
    passed = share >= golden.least_equal and worst <= golden.logit_tolerance and not spelt_otherwise
    return {
        "passed": passed, "prompts": len(golden.expected), "equal": equal, "share": share,
        "least_share": golden.least_equal, "logits_worst": worst if np.isfinite(worst) else "not finite",
        "logits_tolerance": golden.logit_tolerance, "differences": differences[:5],
        "tokenized_otherwise": spelt_otherwise[:5],
    }  # fmt: skip


def greedy(engine: Engine, prompt: Sequence[int], most: int) -> tuple[list[int], np.ndarray]:
    """The likeliest continuation, its eos included, and the logits after the prompt."""
    state = State(engine.graph)
    first_V = logits_V = engine.feed(state, [prompt])[0]
    ids: list[int] = []
    while len(ids) < most:
        ids.append(int(logits_V.argmax()))
        if ids[-1] == engine.graph.eos or len(ids) == most:
            break
        logits_V = engine.feed(state, [ids[-1:]])[0]
    return ids, first_V


def _first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int:
    shorter = min(len(ours), len(theirs))
    return next((place for place in range(shorter) if ours[place] != theirs[place]), shorter)
