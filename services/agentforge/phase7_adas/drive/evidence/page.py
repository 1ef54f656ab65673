"""adas_safety_report.html: the report as one page that needs nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from agentforge.phase7_adas.drive.evidence.results import HERE

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.wide { overflow-x: auto; }
.verdict { font-weight: 600; }
.how { min-width: 17rem; font-size: .85rem; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
a { color: inherit; } :target { background: var(--soft); }
"""


@dataclass(frozen=True)
class Strip:
    """`svg`: None where the page has no room for it. Paths are relative to the page."""

    svg: str | None
    path: str
    clip: str | None
    """Of the first drive of this scenario that went wrong."""


def page(report: Mapping[str, Any], strips: Mapping[str, Strip] | None = None) -> str:
    """`strips`: by scenario; their SVG is ours. Everything else is escaped."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Safety report of the driving pipeline</title><style>{_STYLE}</style><main>",
        "<h1>Safety report of the driving pipeline</h1>",
        f"<p><strong>{escape(report['what_it_is'])}</strong></p>",
        *(f"<p>{escape(each)}</p>" for each in report["limits"]),
        _requirements(report["requirements"]),
        _results(report["results"]),
        _misses(report["false_negatives"]),
        _hazards(report["hazards"]),
        _goals(report["goals"]),
        _faults(report["faults"]),
        _braking(report["scenarios"]),
        _sensors(report["sensors"]),
        _scenarios(report["scenarios"]),
        *_strips(strips or {}),
        "<h2>Not covered</h2>",
        _table(("asked by", "what"), ([escape(e["asked_by"]), escape(e["what"])] for e in report["not_covered"])),
        "</main></html>\n",
    ]
    return "\n".join(parts)


def _requirements(rows: Sequence[Mapping[str, Any]]) -> str:
    body = (
        [
            _anchor(one["id"]), escape(one["text"]), _links(one["goals"]),
            _links(key for key in one["results"] if key not in one["not_measured"]),
            _tests(one["tests"]), _verdict(one["verdict"]) + _missing(one["not_measured"]),
        ]
        for one in rows
    )  # fmt: skip
    return "<h2>Requirements</h2>" + _table(("", "requirement", "goals", "results", "tests", "verdict"), body)


def _verdict(word: str) -> str:
    return f"<span class=verdict>{escape(word)}</span>"


def _missing(keys: Sequence[str]) -> str:
    return f"<br>not measured: {escape(', '.join(keys))}" if keys else ""


def _tests(names: Sequence[str]) -> str:
    if not names:
        return "none"
    items = "".join(f"<li>{escape(name)}" for name in names)
    return f"<details><summary>{len(names)}</summary><ul>{items}</ul></details>"


def _results(rows: Sequence[Mapping[str, Any]]) -> str:
    body = (
        [
            _anchor(one["key"]), _number(one["value"]) + _unit(one["unit"]),
            _number(one["low"]) + " … " + _number(one["high"]) if one["low"] is not None else "",
            f"{one['sense']} {_number(one['bar'])}" if one["bar"] is not None else "",
            _verdict(one["verdict"]), f"{one['n']:,}", _how(escape(one["method"]), one["source"]),
            _links(one["requirements"]),
        ]
        for one in rows
    )  # fmt: skip
    heads = ("result", "value", "95 %", "bar", "verdict", "n", "how", "requirements")
    title = "<h2>Results</h2><p>Measured in this call, by this code, where nothing else is said.</p>"
    return title + _table(heads, body, numbers={1, 2, 5})


def _unit(unit: str) -> str:
    return "" if unit == "1" else f" {escape(unit)}"


def _how(words: str, source: str) -> str:
    if source == HERE:
        return f"<div class=how>{words}</div>"
    return f"<div class=how>{words}<br><strong>{escape(source)}</strong></div>"


def _misses(told: Mapping[str, Any]) -> str:
    words = (
        f"<h2>Missed objects</h2><p>A rate of missed objects of {told['threshold']:.2%} can be told from a higher "
        f"one only by {told['cases_needed_without_one_miss']:,} independent cases without a single miss.</p>"
    )
    body = (
        [
            escape(one["class"]), f"{escape(one['metres'])} m", f"{one['rate']:.2%}",
            f"{one['low']:.2%} … {one['high']:.2%}", f"{one['n']:,}", _how("", one["source"]),
        ]
        for one in told["rates"]
    )  # fmt: skip
    if not told["rates"]:
        return f"{words}<p>Not measured.</p>"
    return words + _table(("class", "distance", "missed", "95 %", "of", ""), body, numbers={2, 3, 4})


def _hazards(rows: Sequence[Mapping[str, Any]]) -> str:
    body = (
        [
            _anchor(one["id"]), escape(one["malfunction"]), escape(one["situation"]), f"S{one['severity']}",
            f"E{one['exposure']}", f"C{one['controllability']}", escape(one["asil"]), _links(one["goals"]),
        ]
        for one in rows
    )  # fmt: skip
    heads = ("", "malfunction", "situation", "S", "E", "C", "ASIL", "goals")
    return "<h2>Hazards (HARA)</h2>" + _table(heads, body)


def _goals(rows: Sequence[Mapping[str, Any]]) -> str:
    body = (
        [
            _anchor(one["id"]), escape(one["text"]), escape(one["safe_state"]), f"{one['tolerance_ms']:,} ms",
            escape(one["asil"]), _links(one["hazards"]), _links(one["requirements"]),
        ]
        for one in rows
    )  # fmt: skip
    heads = ("", "goal", "safe state", "time to react", "ASIL", "hazards", "requirements")
    return "<h2>Safety goals</h2>" + _table(heads, body)


def _faults(rows: Sequence[Mapping[str, Any]]) -> str:
    body = (
        [
            escape(one["where"]), escape(one["kind"]), _links(one["scenarios"]), f"{one['drives']:,}",
            f"{one['noticed']:,}" if one["words"] else "no word",
            escape(", ".join(f"{code} ({n:,})" for code, n in one["named"].items())),
            _number(one["detected_p50_ms"]), _number(one["slowest_detection_ms"]),
            _number(one["slowest_reaction_ms"]), f"{one['went_on']:,}", f"{one['safe_stops']:,}",
            f"{one['caused']:,}",
        ]
        for one in rows
    )  # fmt: skip
    heads = (
        "where", "fault", "scenarios", "drives", "noticed", "named as", "after ms (median)", "slowest ms",
        "from there to its mode, slowest ms", "went on safely", "safe stops", "collisions caused",
    )  # fmt: skip
    title = "<h2>Injected faults, and what came of them</h2><p>Noticed is only what was called by a word for this "
    title += "very fault. Where the monitor has no word, what is shown is that nothing came of it, or what did.</p>"
    return title + _table(heads, body, numbers={3, 4, 6, 7, 8, 9, 10, 11})


def _braking(scenarios: Sequence[Mapping[str, Any]]) -> str:
    title = "<h2>Hazards on the road, and how soon it braked</h2><p>Needs to brake, by the truth, that came up "
    title += "suddenly or are beyond comfort. Times are from there to the command that brakes, of those answered: "
    title += "what it foresaw, it braked for already. Gone: the need ended before it braked, or it steered.</p>"
    body = [
        [
            _links([one["scenario"]]), f"{one['hazards']:,}", f"{one['hazards_foreseen']:,}",
            f"{one['hazards_answered']:,}", f"{one['hazards_passed']:,}", f"{one['hazards_unanswered']:,}",
            _number(one["slowest_hazard_reaction_ms"]),
        ]
        for one in scenarios if one["hazards"]
    ]  # fmt: skip
    if not body:
        return f"{title}<p>None in these drives.</p>"
    heads = ("scenario", "hazards", "foreseen", "answered", "gone", "never answered", "slowest ms")
    return title + _table(heads, body, numbers={1, 2, 3, 4, 5, 6})


def _sensors(rows: Sequence[Mapping[str, Any]]) -> str:
    body = (
        [
            escape(one["sensor"]), escape(one["kind"]), escape(one["effect"]), escape(one["noticed_by"]),
            _links(one["scenarios"]) or "not injected in these drives",
            f"{one['noticed']:,} of {one['drives']:,}" if one["drives"] else "",
        ]
        for one in rows
    )  # fmt: skip
    title = "<h2>Failure modes of sensors</h2><p>Without failure rates: no part, no maker who could give them.</p>"
    return title + _table(
        ("sensor", "fails by", "effect", "should be noticed by", "scenarios", "was noticed"), body
    )


def _scenarios(rows: Sequence[Mapping[str, Any]]) -> str:
    body = (
        [
            _anchor(one["scenario"]), escape(one["summary"]), f"{one['drives']:,}", escape(one["wanted"]),
            f"{one['as_wanted']:,}", f"{one['caused']:,} of {one['collisions']:,}", f"{one['minimal_risk']:,}",
            f"{one['false_stops']:,}", f"{one['needless_brakes']:,}",
            _number(one["hardest_brake_mps2"]), _number(one["slowest_reaction_ms"]),
        ]
        for one in rows
    )  # fmt: skip
    heads = (
        "scenario", "what happens", "drives", "wanted", "so it ended", "collisions caused", "monitor took over",
        "false stops", "needless hard braking", "hardest brake m/s²",
        "slowest reaction to a fault, ms",
    )  # fmt: skip
    return "<h2>Scenarios</h2>" + _table(heads, body, numbers={2, 4, 5, 6, 7, 8, 9, 10})


def _strips(strips: Mapping[str, Strip]) -> Iterable[str]:
    if strips:
        yield "<h2>From above</h2>"
    for name, one in strips.items():
        words = escape(name)
        if one.svg is None:
            words += f', <a href="{escape(one.path)}">strip</a> (too much for one page)'
        if one.clip is not None:
            words += f', which went wrong: <a href="{escape(one.clip)}">clip</a>'
        shown = " open" if one.clip is not None else ""
        yield f"<details{shown}><summary>{words}</summary><figure>{one.svg or ''}</figure></details>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int] | None = None) -> str:
    marks = [" class=number" if k in (numbers or set()) else "" for k in range(len(heads))]
    head = "".join(f"<th scope=col>{escape(each)}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _anchor(name: str) -> str:
    return f'<span id="{escape(name)}">{escape(name)}</span>'


def _links(names: Iterable[str]) -> str:
    return ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"
