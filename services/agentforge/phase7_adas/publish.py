"""What the phase leaves: the model, the package, and the profile of what was measured and what estimated."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agentforge.edge.package.verify import verify_package
from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import RunFailed
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.admission import signing_key
from agentforge.phase7_adas.analyse import Analysis
from agentforge.phase7_adas.analysis.roofline import compare
from agentforge.phase7_adas.graphs import PLAIN, Files
from agentforge.phase7_adas.judging import INPUT, MODEL, SAME, Judged, who
from agentforge.phase7_adas.search.finishing import AS_IT_CAME
from agentforge.phase7_adas.search.search import Found
from agentforge.phase7_adas.staging import ARCHIVE, Told, model_digest, packed, stage
from agentforge.phase7_adas.start import Start

MODEL_OUTPUT, PACKAGE, PROFILE = "adas_model", "adas_deployment_package", "adas_performance_profile"
_CARD = """\
---
library_name: transformers
tags: [agentforge, adas]
---
# adas

The model that was packed for {device}.{search}

On {items:,} questions of the test split, which had no part in training, calibration or search:

{table}

`input`: as it came. `model`: this one, by PyTorch. The others are its files, by onnxruntime on this machine; loss
is nats per answer token. No TensorRT engine was built here.

```
agentforge chat adas_model --prompt "{prompt}"
```

training.json has settings and all numbers{front}.
"""
_SEARCHED = """ A search kept {parameters:.0%} of its parameters and {flops:.0%} of the FLOPs of
a token ({genes})."""


@dataclass(frozen=True)
class Made:
    model: Any
    found: Found | None
    files: Files
    analysis: Analysis
    parity: list[Measurement]
    judged: Judged
    timed: list[Measurement]


def publish(context: PhaseContext, start: Start, made: Made) -> None:
    if MODEL_OUTPUT not in context.published:
        with context.output(MODEL_OUTPUT) as directory:
            write_model(directory, start, made)
    if PACKAGE not in context.published:
        model = context.home / context.published[MODEL_OUTPUT].path
        with context.output(PACKAGE) as directory:
            _package(context, start, made, model_digest(model), directory)
    if PROFILE not in context.published:
        with context.output(PROFILE) as directory:
            (directory / f"{PROFILE}.json").write_bytes(canonical_json(_profile(made)))


def write_model(directory: Path, start: Start, made: Made) -> None:
    """No times in it: the same run gives the same bytes."""
    start.save(directory, made.model)
    told = {
        "config": resolved(start.config), "test": made.judged.values,
        "parity": {one.name: one.value for one in made.parity},
        "int8": {"float": made.files.kept, "scan": [asdict(layer) for layer in made.files.scan]},
    }  # fmt: skip
    (directory / "training.json").write_bytes(canonical_json({"adas": told, "tokenizer": start.codec.digest}))
    if made.found is not None:
        (directory / "front.json").write_bytes(canonical_json(made.found.record))
    (directory / "README.md").write_text(_card(start, made))


def _package(context: PhaseContext, start: Start, made: Made, digest: str, directory: Path) -> None:
    told = Told(made.judged.items, verified(made), digest)
    top = stage(made.files.directory.parent / "staged", start, made.model, made.files, told)
    archive = packed(top, directory / ARCHIVE, signing_key(start.config))
    found = verify_package(archive)
    for one in found.checks:
        context.log(f"package: {one.name}: {one.status}: {one.fact}", "info" if one.status == "ok" else "warning")
    if found.failures:
        why = "; ".join(f"{one.name}: {one.fact}" for one in found.failures)
        raise RunFailed(f"the package does not pass its own checks: {why}", reason="PACKAGE_BROKEN")


def verified(made: Made) -> list[str]:
    """Sentences for the manifest, each with its number."""
    values, n = made.judged.values, len(made.judged.items)
    lines = [f"{one.name.removeprefix('adas/')}: {one.value:.2g}, {one.method}." for one in made.parity]
    for name in made.files.variants:
        prefix = who(name)
        lines.append(
            f"{name} by onnxruntime on the host: {values[f'{prefix}/{SAME}']:.1%} of {n:,} answers are PyTorch's, "
            f"accuracy {values[f'{prefix}/accuracy']:.3f} (PyTorch {values[f'{MODEL}/accuracy']:.3f})."
        )
    for_tensorrt = [name for name in made.files.variants if name not in made.files.for_cpu]
    return [*lines, *(f"{name}: static check against the 8.5 table." for name in for_tensorrt)]


def _profile(made: Made) -> dict[str, Any]:
    """Measurements and estimates apart."""
    measured = [*made.timed, *made.parity, *made.judged.measured, *made.analysis.measured]
    return {
        "format": 1,
        "measured": [asdict(one) for one in measured],
        "estimates": made.analysis.record,
        "measured_by_estimate": _beside_estimates(made),
        "not_measured": [
            "anything on a Jetson: verify.py of the package measures there",
            "TensorRT: no engine was built here",
        ],
    }


def _beside_estimates(made: Made) -> list[dict[str, Any]]:
    """This machine's decode step in float32, over its roofline from peaks measured here."""
    step = next(one for one in made.timed if one.name == f"adas/performance/{who(PLAIN)}/decode_p50")
    in_seconds = replace(step, value=step.value / 1e3, unit="s", spread=None)
    devices = made.analysis.record["measured_devices"]
    return [compare(each["estimates"][0]["decode"], in_seconds) for each in devices]


def _card(start: Start, made: Made) -> str:
    values = made.judged.values
    lines = ["| | accuracy | loss | answers as PyTorch's | bytes |", "|---|---|---|---|---|"]
    rows = [(INPUT, ""), (MODEL, ""), *((who(name), name) for name in made.files.variants)]
    for name, file in rows:
        same = f"{values[f'{name}/{SAME}']:.1%}" if file else ""
        size = f"{made.files.path(file).stat().st_size:,}" if file else ""
        cells = (f"{values[f'{name}/accuracy']:.3f}", f"{values[f'{name}/loss']:.3f}", same, size)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return _CARD.format(
        device=start.config.device, search=_searched(made.found), items=len(made.judged.items),
        table="\n".join(lines), prompt=made.judged.items[0].prompt,
        front=", front.json every candidate of the search" if made.found else "",
    )  # fmt: skip


def _searched(found: Found | None) -> str:
    if found is None:
        return ""
    if found.record["weights"] == AS_IT_CAME:
        return " A search found nothing smaller that keeps its budgets: this is the input as it came."
    told = {one.name.removeprefix("adas/search/chosen/"): one.value for one in found.measured}
    genes = ", ".join(f"{name} {value}" for name, value in found.chosen.genes.items())
    return _SEARCHED.format(parameters=told["parameters"], flops=told["flops"], genes=genes)
