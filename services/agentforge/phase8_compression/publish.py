"""What the phase leaves: the model as one small file, its other formats, and what was measured and tried."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentforge.data.codec import Codec
from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.phase8_compression.agents.analyser import Analysis
from agentforge.phase8_compression.agents.packager import Package
from agentforge.phase8_compression.agents.validator import FINAL, INPUT, Validated
from agentforge.phase8_compression.formats.manifest import manifest
from agentforge.phase8_compression.start import Start

MODEL, ARTIFACTS, REPORT = "final_model", "final_artifacts", "compression_report"
_CARD = """\
---
library_name: agentforge
tags: [agentforge, compression]
---
# compression

`model.forge`: {bytes:,} bytes, {ratio:.1f} times smaller than the input in float32 ({parameters:,} parameters).
Genes of the chosen candidate: {genes}.

On {items:,} questions of the test split, which had no part in training, calibration or search:

{table}

It keeps {kept:.1%} of the input's right answers (mean over families). `input`: as it came. `final`: model.forge,
read back. Bits per byte are of the questions' own text: losses per token of two vocabularies cannot be compared.

```
agentforge chat final_model --prompt "{prompt}"
```

pareto_front.json has every candidate, compression_report.json every number.
"""


@dataclass(frozen=True)
class Final:
    """`directory`: model.forge with config.json. `timed`: measurements that differ from run to run."""

    directory: Path
    codec: Codec
    genes: dict[str, Any]
    front: dict[str, Any]
    analysis: Analysis
    validated: Validated
    counted: list[Measurement]
    timed: list[Measurement]


def publish_model(context: PhaseContext, start: Start, final: Final) -> None:
    """No times in it: the same run gives the same bytes."""
    with context.output(MODEL) as directory:
        shutil.copytree(final.directory, directory, dirs_exist_ok=True)
        told = {
            "config": resolved(start.config), "genes": final.genes, "test": final.validated.values,
            "counted": {one.name: one.value for one in final.counted},
        }  # fmt: skip
        record = {"compression": told, "tokenizer": final.codec.digest}
        (directory / "training.json").write_bytes(canonical_json(record))
        (directory / "pareto_front.json").write_bytes(canonical_json(final.front))
        (directory / "README.md").write_text(_card(final))


def publish_artifacts(context: PhaseContext, final: Final, package: Package, made: Path) -> None:
    with context.output(ARTIFACTS) as directory:
        shutil.copytree(made, directory, dirs_exist_ok=True)
        told = manifest(directory, package.made, package.same, package.absent, parameters=final.analysis.parameters)
        (directory / "artifacts.json").write_bytes(canonical_json(told))


def publish_report(context: PhaseContext, start: Start, final: Final, package: Package) -> None:
    with context.output(REPORT) as directory:
        measured = [*final.analysis.measured, *final.counted, *final.validated.measured, *package.measured]
        report = {
            "format": 1, "config": resolved(start.config), "genes": final.genes,
            "input": final.analysis.record, "measured": [asdict(one) for one in measured],
            "timed_here": [asdict(one) for one in (*final.timed, *package.timed)], "not_made": package.absent,
        }  # fmt: skip
        (directory / f"{REPORT}.json").write_bytes(canonical_json(report))
        (directory / "pareto_front.json").write_bytes(canonical_json(final.front))


def _card(final: Final) -> str:
    values, counted = final.validated.values, {one.name: one.value for one in final.counted}
    genes = ", ".join(f"{name} {value}" for name, value in final.genes.items()) or "none: the input as it came"
    return _CARD.format(
        bytes=int(counted["compression/file_bytes"]), ratio=counted["compression/compression_ratio"],
        parameters=final.analysis.parameters, genes=genes, items=len(final.validated.items),
        table=_table(values), kept=values["accuracy_retention"], prompt=final.validated.items[0].prompt,
    )  # fmt: skip


def _table(values: dict[str, float]) -> str:
    start = f"{INPUT}/accuracy/"
    families = [name.removeprefix(start) for name in values if name.startswith(start)]
    lines = [f"| | bits per byte | mean | {' | '.join(families)} |", "|---" * (len(families) + 3) + "|"]
    for who in (INPUT, FINAL):
        found = [values[f"{who}/accuracy"], *(values[f"{who}/accuracy/{family}"] for family in families)]
        cells = [f"{values[f'{who}/bits_per_byte']:.4f}", *(f"{value:.3f}" for value in found)]
        lines.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(lines)
