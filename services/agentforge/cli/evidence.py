"""`agentforge evidence`: every claim beside what was measured. Reading is quick; --rerun measures again."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import NotFound
from agentforge.kit.evidence import Experiment, Row, number_text
from agentforge.kit.phase import PhaseSpec, load_pipeline
from agentforge.kit.recorded import Evidence, code_digest, evidence

_STYLE = {"reached": "green", "not reached": "yellow", "refuted": "red", "not testable here": "dim"}
_PIPED = 120  # columns, where there is no terminal to fit into


@dataclass(frozen=True)
class EvidenceOptions:
    phase: str
    only: Sequence[str]
    rerun: bool
    jobs: int
    as_json: bool


def show(options: EvidenceOptions) -> int:
    """A missing record is said and is no error."""
    chosen = _chosen(options)
    if options.rerun:
        from agentforge.kit.remeasure import remeasure

        for spec, experiment in chosen:
            place = remeasure(spec, experiment, jobs=options.jobs, tell=_tell)
            _tell(f"{experiment.name}: recorded in {place}")
    found = [(evidence(spec, experiment), code_digest(spec, experiment)) for spec, experiment in chosen]
    if options.as_json:
        print(json.dumps([_line(each, row, code) for each, code in found for row in each.rows], ensure_ascii=False))
        return 0
    for each, code in found:
        _print(each, code)
    if not found:
        print(
            "no phase here has experiments yet" if not options.phase else f"{options.phase} has no experiments yet"
        )
    return 0


def _chosen(options: EvidenceOptions) -> list[tuple[PhaseSpec, Experiment]]:
    pipeline = load_pipeline()
    specs = [pipeline.spec(options.phase)] if options.phase else list(pipeline)
    there = [(spec, experiment) for spec in specs for experiment in spec.experiments]
    names = [experiment.name for _, experiment in there]
    for name in options.only:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none yet'}."
            message = f"there is no experiment {name!r}" + (f" of {options.phase}" if options.phase else "")
            raise NotFound(message, reason="UNKNOWN_EXPERIMENT", field="only", next_step=hint)
    return [(spec, experiment) for spec, experiment in there if not options.only or experiment.name in options.only]


def _line(each: Evidence, row: Row, code: str) -> dict[str, Any]:
    """The first eight names are relied on outside of this repository: add, do not rename."""
    return {
        "claim": row.claim,
        "target": row.target,
        "value": row.value,
        "unit": row.unit,
        "n": row.n,
        "spread": row.spread,
        "verdict": row.verdict,
        "command": each.command,
        "phase": each.phase,
        "experiment": each.experiment.name,
        "method": row.method,
        "beside": [
            {"claim": b.claim, "value": b.value, "unit": b.unit, "n": b.n, "spread": b.spread, "method": b.method}
            for b in row.beside
        ],
        "date": each.record.date if each.record else None,
        "code_changed": each.record.codes != [code] if each.record else None,
    }


def _print(each: Evidence, code: str) -> None:
    """One experiment: its claims, the numbers beside them, and when they were measured."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, expand=True)
    table.add_column("claim", ratio=1, min_width=26)
    table.add_column("target", max_width=14)
    for column in ("value ± spread (n)", "unit", "verdict"):
        table.add_column(column)
    for row in each.rows:
        verdict = row.verdict if each.record else "not measured yet"
        cells = (row.claim, row.target, value_text(row), row.unit)
        table.add_row(*map(Text, cells), Text(str(verdict), _STYLE[str(row.verdict)]))
        for beside in row.beside:
            cells = (f"  {beside.claim}", "", value_text(beside), beside.unit)
            table.add_row(*(Text(cell, "dim") for cell in cells), "")
    print(f"{each.phase} / {each.experiment.name}: {each.experiment.summary}")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED
    console.print(table)
    if each.record is None:
        print(f"NOT MEASURED YET: {each.experiment.name} ({each.rows[0].method}). Measure: {each.command}\n")
        return
    changed = "; the code has changed since" if each.record.codes != [code] else ""
    print(f"measured {each.record.date[:10]} in {each.record.seconds:.0f} s{changed}. Again: {each.command}\n")


def value_text(row: Row) -> str:
    """ "0.94 ± 0.012 (3)"; a dash for what was not measured."""
    if row.value is None:
        return "—"
    spread = f" ± {row.spread:.2g}" if row.spread is not None else ""
    return f"{number_text(row.value)}{spread} ({row.n})"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
