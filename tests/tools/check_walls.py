"""Walls that no list of names can hold: phases, which come and go, import neither each other nor who calls them."""

from __future__ import annotations

from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
ROOMS = ("kit", "models", "data", "train", "tools", "edge", "codecs", "shrink")
SHARED = tuple(f"agentforge.{room}" for room in ROOMS)
CALLERS = ("agentforge.cli", "agentforge.client", "agentforge_gateway")


def main() -> int:
    graph = grimp.build_graph("agentforge", "agentforge_gateway", cache_dir=None)
    phases = sorted(name for name in graph.find_children("agentforge") if name.startswith("agentforge.phase"))
    faults = [
        f"{' -> '.join(chain)}: what phases share belongs into kit, models, data or train"
        for phase in phases
        for other in (*(p for p in phases if p != phase), *CALLERS)
        for chain in sorted(graph.find_shortest_chains(phase, other))
    ]
    faults += [
        f"{' -> '.join(chain)}: what is shared knows no phase"
        for room in SHARED
        for phase in phases
        for chain in sorted(graph.find_shortest_chains(room, phase))
    ]
    faults += [f"{module} imports tests" for module in graph.modules if imports_tests(module)]
    print("\n".join(faults) or f"walls: {len(phases)} phases keep to themselves")
    return 1 if faults else 0


def imports_tests(module: str) -> bool:
    relative = Path(*module.split("."))
    files = [
        ROOT / top / name
        for top in ("services", "gateway")
        for name in (f"{relative}.py", relative / "__init__.py")
    ]
    texts = [file.read_text() for file in files if file.exists()]
    return any(line.startswith(("import tests", "from tests")) for text in texts for line in text.splitlines())


if __name__ == "__main__":
    raise SystemExit(main())
