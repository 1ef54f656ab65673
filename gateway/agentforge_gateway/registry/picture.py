"""A lineage as a picture: SVG made here, without a library, and mermaid for cards."""

from __future__ import annotations

import html
from collections import defaultdict

from agentforge_gateway.registry.lineage import Lineage, Node

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 210, 62, 24, 54, 16  # pixels

_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1a1a1a}.box{fill:#f4f6fa;stroke:#556}.asked{stroke-width:3}"
    ".gone{stroke-dasharray:4 3}.edge{stroke:#778;fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.box{fill:#23272f;stroke:#9ab}.edge{stroke:#9ab}}"
)


def svg(lineage: Lineage) -> str:
    """Ancestors above, the asked artifact below. Every text is escaped."""
    rows: dict[int, list[Node]] = defaultdict(list)
    for node in lineage.nodes:
        rows[node.depth].append(node)
    deepest = max(rows, default=0)
    widest = max((len(row) for row in rows.values()), default=1)
    width = widest * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = (deepest + 1) * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    places = {}
    for depth, row in rows.items():
        left = (width - (len(row) * (_WIDTH + _GAP_X) - _GAP_X)) / 2
        for i, node in enumerate(row):
            y = _MARGIN + (deepest - depth) * (_HEIGHT + _GAP_Y)
            places[node.artifact.sha256] = (left + i * (_WIDTH + _GAP_X), y)
    lines = [_edge(places[edge.parent], places[edge.child]) for edge in lineage.edges if edge.parent in places]
    boxes = [_box(node, *places[node.artifact.sha256]) for node in lineage.nodes]
    title = f"Lineage: {len(lineage.nodes)} artifacts" + ("" if lineage.complete else ", and more")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title>{title}</title><style>{_STYLE}</style>'
        + "".join(lines + boxes)
        + "</svg>\n"
    )


def mermaid(lineage: Lineage) -> str:
    """Names, kinds and phases hold no characters that mermaid reads; what a stranger wrote is not shown."""
    numbers = {node.artifact.sha256: f"n{i}" for i, node in enumerate(lineage.nodes)}
    rows = ["flowchart TD"]
    for node in lineage.nodes:
        rows.append(f'  {numbers[node.artifact.sha256]}["{_plain(" · ".join(_lines(node)))}"]')
    rows += [f"  {numbers[e.parent]} --> {numbers[e.child]}" for e in lineage.edges if e.parent in numbers]
    return "\n".join(rows)


def _lines(node: Node) -> list[str]:
    made = f"{node.origin.phase}, run {node.origin.run_id}" if node.origin else "brought in, or of unknown origin"
    name = ", ".join(node.registered) or f"{node.artifact.name} ({node.artifact.kind})"
    return [name, made, node.artifact.sha256[:16] + ("" if node.on_volume else ", no longer on the volume")]


def _box(node: Node, x: float, y: float) -> str:
    look = "box" + (" asked" if node.depth == 0 else "") + ("" if node.on_volume else " gone")
    whole = " · ".join(_lines(node))
    texts = "".join(
        f'<text x="{x + 8:g}" y="{y + 18 + 17 * i:g}">{html.escape(_short(line))}</text>'
        for i, line in enumerate(_lines(node))
    )
    frame = f'<rect class="{look}" x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
    return f"<g><title>{html.escape(whole)}</title>{frame}{texts}</g>"


def _edge(parent: tuple[float, float], child: tuple[float, float]) -> str:
    x1, y1, x2, y2 = parent[0] + _WIDTH / 2, parent[1] + _HEIGHT, child[0] + _WIDTH / 2, child[1]
    middle = (y1 + y2) / 2
    return f'<path class="edge" d="M{x1:g} {y1:g}C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"/>'


def _short(line: str) -> str:
    return line if len(line) <= 32 else line[:31] + "…"


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in " .,:()·_-" else "_" for c in text)
