"""Whether code that a model wrote can get out of the sandbox, or use up the machine; and what a call costs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, exactly, stated

WHOLE, THIN, BARE, CALLS = "all layers", "kernel filter alone", "no sandbox", "calls"
_CALLS = 40


def trials() -> list[Trial]:
    return [Trial(part.replace(" ", "-"), {"part": part}) for part in (WHOLE, THIN, BARE, CALLS)]


def measure(part: str) -> dict[str, Any]:
    from agentforge.tools.sandbox.thinner import LAYERS, without

    if part == CALLS:
        return _calls()
    if part == BARE:
        return _bare()
    return _inside() if part == WHOLE else without(LAYERS, _inside)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    whole, thin, bare, calls = (results[trial.key] for trial in trials())
    return [
        _none_of(whole, "none gets out, ends another process or outlasts its limits", WHOLE),
        _none_of(thin, "the same where namespaces are forbidden and root stays root", THIN),
        exactly(
            "of those that succeed in any ordinary process, the share that is noticed there",
            1.0, [1 - len(bare["unnoticed"]) / bare["tried"]], "1", method=f"{bare['tried']} of them",
        ),
        stated("a call, from code to outcome", [calls["call_s"]], "s", method=f"median of {_CALLS}"),
        stated("a Python that does nothing", [calls["python_s"]], "s", method="in turns with the calls"),
    ]  # fmt: skip


def _none_of(one: Mapping[str, Any], claim: str, layers: str) -> Row:
    method = f"{one['tried']} escapes and bombs; {layers}: {', '.join(one['layers'])}"
    return exactly(f"escapes that succeed: {claim}", 0, [len(one["succeeded"])], "1", method=method)


def _inside() -> dict[str, Any]:
    from agentforge.tools.sandbox.canaries import attempt
    from agentforge.tools.sandbox.escapes import ESCAPES

    tried = {escape.name: attempt(escape) for escape in ESCAPES}
    succeeded = {name: effects for name, (_, effects) in tried.items() if effects}
    layers = {outcome.layers for outcome, _ in tried.values()}
    return {"tried": len(tried), "succeeded": succeeded, "layers": min(layers, key=len)}


def _bare() -> dict[str, Any]:
    from agentforge.tools.sandbox.canaries import attempt_bare
    from agentforge.tools.sandbox.escapes import ESCAPES

    tried = {escape.name: attempt_bare(escape) for escape in ESCAPES if escape.bare}
    return {"tried": len(tried), "unnoticed": [name for name, effects in tried.items() if not effects]}


def _calls() -> dict[str, Any]:
    from agentforge.tools.sandbox import run_python

    call, python = [], []
    for _ in range(_CALLS):
        began = time.perf_counter()
        outcome = run_python("sum([5, 8, 9])")
        between = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
        call.append(between - began)
        python.append(time.perf_counter() - between)
        assert outcome.text == "22\n"
    return {"call_s": statistics.median(call), "python_s": statistics.median(python)}
