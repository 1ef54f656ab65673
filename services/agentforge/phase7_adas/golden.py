"""Golden prompts: what each file answers here, for the device to repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentforge.data.items import Item
from agentforge.edge.asking import engine_of
from agentforge.edge.device.runtime.golden import greedy
from agentforge.phase7_adas.graphs import PLAIN, Files
from agentforge.phase7_adas.start import Start

_TOP = 5  # logits that are told of each prompt
EXACT = 1e-3  # of the largest logit: float32 on another CPU sums in another order
LOOSE = 0.1  # kernels of few bits, and half precision, round otherwise on other devices
_SHARE = {True: 1.0, False: 0.75}


def golden(start: Start, files: Files, items: Sequence[Item]) -> dict[str, Any]:
    """`items`: evenly of all families."""
    config = start.config.package
    some = items[:: max(1, len(items) // config.prompts)][: config.prompts]
    told: list[dict[str, Any]] = [
        {"prompt": item.prompt, "ids": start.codec.prompt_ids(item.prompt), "files": {}} for item in some
    ]
    tolerance = {}
    for name in files.variants:
        engine = engine_of(files.path(name), start.config.machine.threads or 0)
        largest = 0.0
        for each in told:
            ids, logits_V = greedy(engine, each["ids"], _room(files, start, len(each["ids"])))
            top = np.argsort(-logits_V, kind="stable")[:_TOP]
            values = [float(logits_V[place]) for place in top]
            largest = max(largest, float(np.abs(logits_V).max()))
            text = start.codec.text(ids)
            each["files"][name] = {"ids": ids, "text": text, "logits": {"top": top.tolist(), "values": values}}
        exact = name == PLAIN
        tolerance[name] = {"logits": largest * (EXACT if exact else LOOSE), "answers": _SHARE[exact]}
    return {"format": 1, "items": told, "tolerance": tolerance}


def _room(files: Files, start: Start, prompt: int) -> int:
    """Tokens of an answer: a text may be bounded."""
    most = files.facts.context
    return start.config.package.tokens if most is None else min(start.config.package.tokens, most - prompt)
