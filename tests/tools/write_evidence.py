"""docs/EVIDENCE.md from the recorded trials; nothing is measured here. `--check`: only say if it is current."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from agentforge.kit.evidence import VERDICTS, Row, number_text
from agentforge.kit.recorded import Evidence, Record, evidence, packaged_place
from agentforge.pipeline import PIPELINE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "EVIDENCE.md"
_INTRO = """\
# Evidence

Every claim beside what was measured. This page is generated from the recorded trials by `make evidence`, and `make
check` fails when it is not current; `agentforge evidence` prints the same, `--json` for programs.

- **claim, target**: what is said, and what would make it true.
- **measured**: the mean over n samples (seeds, unless "how" says otherwise) and their sample standard deviation.
  The mean is held against the target; "by more than the spread" means the mean less the spread.
- **verdict**: *reached*; *not reached*, where the bar is our own; *refuted*, where a seed document or a paper
  claims it and our measurement says otherwise; *not testable here*, with the reason.
- Lines that begin with ↳ are held to no bar: they are what the claim above them is to be compared with.

Only raw results are stored; the rows are worked out from them each time. To measure again, run the command below a
table: each trial runs in a process of its own, and an interrupted measuring goes on where it stopped.
"""


def main() -> int:
    found = [evidence(spec, each, [packaged_place(each)]) for spec in PIPELINE for each in spec.experiments]
    text = "\n".join([_INTRO, _counts(found), *(_section(each) for each in found)])
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
        print(f"docs/{PAGE.name}: {len(found)} experiments")
    elif not PAGE.exists() or PAGE.read_text() != text:
        print(f"docs/{PAGE.name} is not what is recorded: run `make evidence`")
        return 1
    return 0


def _counts(found: Iterable[Evidence]) -> str:
    measured = Counter(row.verdict for each in found if each.record for row in each.rows)
    counts = ", ".join(f"{measured[verdict]} {verdict}" for verdict in VERDICTS)
    missing = [each.experiment.name for each in found if each.record is None]
    return f"{measured.total()} claims: {counts}. Not measured yet: {', '.join(missing) or 'nothing'}.\n"


def _section(each: Evidence) -> str:
    lines = [f"## {each.phase}: {each.experiment.name}", "", f"{each.experiment.summary}.", ""]
    if each.record is None:
        return "\n".join([*lines, f"**Not measured yet.** To measure: `{each.command}`", ""])
    lines += ["| claim | target | measured | n | unit | verdict | how |", "|---|---|---|---|---|---|---|"]
    for row in each.rows:
        lines.append(_line(row.claim, row))
        lines += [_line(f"↳ {beside.claim}", beside) for beside in row.beside]
    return "\n".join([*lines, "", _origin(each, each.record), ""])


def _line(claim: str, row: Row) -> str:
    spread = "" if row.spread is None else f" ± {row.spread:.2g}"
    value = "" if row.value is None else f"{number_text(row.value)}{spread}"
    cells = [claim, row.target, value, str(row.n or ""), row.unit, f"**{row.verdict}**" if row.verdict else ""]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in [*cells, row.method]) + " |"


def _origin(each: Evidence, record: Record) -> str:
    raw = packaged_place(each.experiment).relative_to(ROOT)
    machine, codes = record.machine, ", ".join(code[:12] for code in record.codes)
    changed = " (it was changed between trials)" if len(record.codes) > 1 else ""
    return (
        f"Measured {record.date[:10]}: {len(record.trials)} trials in {record.seconds:,.0f} s on "
        f"{machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, torch {machine['torch']}; "
        f"agentforge {record.version}, code {codes}{changed}. Raw results: [{raw.name}](../{raw.as_posix()}). "
        f"Again: `{each.command}`"
    )


if __name__ == "__main__":
    raise SystemExit(main())
