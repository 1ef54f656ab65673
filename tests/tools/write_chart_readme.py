"""charts/agent-forge/README.md from the comments of its values.yaml. `--check`: only say if it is current."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "agent-forge"
PAGE = CHART / "README.md"
_INTRO = """\
# agent-forge, the chart

A gateway, a service for each phase, and the volume that they share. Services never compute: each run is a
Kubernetes Job that the phase's service makes from a template of this chart, so GPUs are held while a run lasts, and
no longer.

```bash
helm install forge charts/agent-forge -n forge --create-namespace --set volume.storageClass=YOUR_RWX_CLASS
helm test forge --namespace forge --logs --timeout 25m
```

[docs/deploy.md](../../docs/deploy.md) has every step, kind included, and says what nobody has tried;
[UPGRADING.md](UPGRADING.md) what a new version wants from you. Kubernetes {kubernetes}; one release in a namespace.

- **A phase of yours** is one more entry of `phases` and an image `agentforge-NAME`; under each lies
  `phaseDefaults`.
- **The volume** must be ReadWriteMany. Where there is none, `volume.singleNode` keeps all pods on one node.
- **GPUs** are Jobs' (`phaseDefaults.job.gpus`); the schema refuses them in services.
- **Kueue** by `kueue.queueName`. The launcher makes Jobs and no JobSets, so there is no option for JobSet.
- **Pods** pass Pod Security `restricted`. Workers and the gateway have no access to the API server.
- **NetworkPolicies** let workers of one release meet on all ports, since collectives choose theirs; they cannot
  tell the workers of one run from those of another. Give each team a namespace.

## Values

This table is generated from the comments in values.yaml by `python -m tests.tools.write_chart_readme`.

| value | default | |
|---|---|---|
"""


def main() -> int:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    text = _INTRO.replace("{kubernetes}", chart["kubeVersion"].removesuffix("-0").replace(">=", "from ") + " on")
    text += "".join(f"{row}\n" for row in rows((CHART / "values.yaml").read_text()))
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
        print(f"charts/agent-forge/{PAGE.name}: {text.count(chr(10))} lines")
    elif not PAGE.exists() or PAGE.read_text() != text:
        print("The chart's README is not what values.yaml says: run `python -m tests.tools.write_chart_readme`")
        return 1
    return 0


def rows(text: str) -> Iterator[str]:
    """A row for each value that is no map, and for each map that has a comment."""
    comments = _comments(text)
    for path, value in _walk(yaml.safe_load(text), ""):
        comment = comments.get(path, "")
        leaf = not isinstance(value, dict) or not value
        if leaf or comment:
            default = f"`{json.dumps(value)}`" if leaf else ""
            yield f"| `{path}` | {default} | {comment} |".replace("|  |", "| |")


def _walk(values: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        path = f"{above}.{key}" if above else key
        yield path, value
        if isinstance(value, dict) and path != "test.overrides":
            yield from _walk(value, path)


def _comments(text: str) -> dict[str, str]:
    """The comment block right above a key, by the key's path."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    block: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            block.append(line.strip().removeprefix("#").strip())
            continue
        key = re.match(r"( *)([\w./-]+):", line)
        if key:
            depth = len(key[1])
            parents = [parent for parent in parents if parent[0] < depth] + [(depth, key[2])]
            found[".".join(name for _, name in parents)] = " ".join(block)
        block = []
    return found


if __name__ == "__main__":
    raise SystemExit(main())
