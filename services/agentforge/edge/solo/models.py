"""Which models agent.pyz can run: told by name before anything is packed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentforge.edge.device.solo.agent import BACKENDS
from agentforge.edge.device.solo.numpy_llama import rope
from agentforge.kit.errors import InvalidInput
from agentforge.models.fields_titan import MODEL_TYPE

_ROPES = ("default", "llama3")


def check_model(config: dict[str, Any]) -> None:
    unknown = list(_unknown(config))
    if unknown:
        message = f"agent.pyz cannot run this model: {'; '.join(unknown)}"
        step = "Take a Titan or Llama without these, or export a package for onnxruntime."
        raise InvalidInput(message, reason="MODEL_NOT_KNOWN", field="config.json", next_step=step)


def _unknown(config: dict[str, Any]) -> Iterator[str]:
    kind = config.get("model_type")
    if kind not in BACKENDS:
        yield f"model_type {kind!r}, and {' and '.join(sorted(BACKENDS))} are known"
    elif kind == MODEL_TYPE:
        if config["memory"] and config["memory_write"] not in ("surprise_novelty", "fifo"):
            yield f"memory_write {config['memory_write']!r}, whose numbers cannot be drawn elsewhere"
    else:
        if config.get("hidden_act", "silu") != "silu":
            yield f"hidden_act {config['hidden_act']!r}"
        if rope(config)["rope_type"] not in _ROPES:
            yield f"rope_type {rope(config)['rope_type']!r}"
        if config.get("partial_rotary_factor", 1) != 1 or rope(config).get("partial_rotary_factor", 1) != 1:
            yield "partial_rotary_factor"
