"""What build_engine.sh will hand to TensorRT, checked by reading it: rules, shape profiles, layers in FP32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.edge.package.verdict import Verification
from agentforge.kit.errors import DataLoss

if TYPE_CHECKING:
    from agentforge.edge.rules import Profile

_PROFILES, _FP32 = "models/profiles.json", "models/fp32_layers.txt"
_WANTED = ("decode", "prefill")
_SHOWN = 20  # findings of one file


def check_tensorrt_file(model: Any, name: str, top: Path, found: Verification) -> None:
    """Static: a table of what TensorRT 8.5's parser takes, not TensorRT."""
    from agentforge.edge.rules import RESULT, check_tensorrt

    profiles = _profiles((top / _PROFILES).read_bytes())
    findings = [each.violation() for each in check_tensorrt(model, profiles)]
    for each in findings[:_SHOWN]:
        found.failed("tensorrt 8.5", f"{name}: {each.message}", each.reason, f"models/{name}", each.next_step)
    if len(findings) > _SHOWN:
        fact = f"{name}: and {len(findings) - _SHOWN:,} findings more"
        found.failed("tensorrt 8.5", fact, findings[_SHOWN].reason, f"models/{name}")
    _check_layers(model, name, (top / _FP32).read_text("utf-8", "replace"))
    if not findings:
        found.ok("tensorrt 8.5", f"{name}: {RESULT}, profiles {' and '.join(profiles)}", f"models/{name}")


def _profiles(data: bytes) -> dict[str, Profile]:
    try:
        told = json.loads(data)
        return {name: _profile(told[name]) for name in _WANTED}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{_PROFILES} is not of its form: {type(error).__name__}: {error}"
        raise DataLoss(message, reason="BAD_PROFILES", field=_PROFILES) from None


def _profile(told: dict[str, dict[str, list[int]]]) -> Profile:
    """The file tells bounds with inputs in them, the rules want inputs with bounds."""
    low, best, high = (told[bound] for bound in ("min", "opt", "max"))
    return {name: (tuple(low[name]), tuple(best[name]), tuple(high[name])) for name in low}


def _check_layers(model: Any, name: str, text: str) -> None:
    """trtexec takes a name that no layer has without a word, and the layer stays in FP16."""
    known = {node.name for node in model.graph.node}
    for layer in filter(None, map(str.strip, text.splitlines())):
        if layer not in known:
            message = f"{_FP32} names {layer!r}, which {name} does not hold"
            raise DataLoss(message, reason="UNKNOWN_LAYER", field=_FP32)
