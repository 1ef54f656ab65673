"""What an upgrade must not change: selectors are immutable, and a claim under another name is an empty volume.

`released.yaml` holds them as chart 0.1.0 made them: later versions add, and change nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.chart.rendering import Object, render
from tests.chart.switches import Values

RELEASED = Path(__file__).with_name("released.yaml")
_VALUES: Values = {
    "database": {"kind": "bundled"},
    "monitoring": {"serviceMonitor": True, "rules": True, "dashboard": True},
}
_KEPT = ("Deployment", "StatefulSet")


def immutable(objects: list[Object]) -> dict[str, Any]:
    """By kind and name: what the API server refuses to change, or what holds data; null: the name alone."""
    found: dict[str, Any] = {}
    for one in objects:
        name, spec = f"{one['kind']}/{one['metadata']['name']}", one.get("spec", {})
        found[name] = None
        if one["kind"] in _KEPT:
            found[name] = {"selector": spec["selector"]["matchLabels"]}
        if one["kind"] == "StatefulSet":
            claims = [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]]
            found[name] |= {"serviceName": spec["serviceName"], "claims": claims}
        if one["kind"] == "PersistentVolumeClaim":
            found[name] = {"accessModes": spec["accessModes"]}
        if one["kind"] == "RoleBinding":
            found[name] = {"roleRef": one["roleRef"]["name"]}
    return found


def everything() -> list[Object]:
    sqlite = [one for one in render({}) if one["kind"] == "PersistentVolumeClaim"]
    bundled = render(_VALUES)
    names = {(one["kind"], one["metadata"]["name"]) for one in bundled}
    return bundled + [one for one in sqlite if (one["kind"], one["metadata"]["name"]) not in names]


def test_an_upgrade_keeps_what_is_there() -> None:
    released, now = yaml.safe_load(RELEASED.read_text()), immutable(everything())
    assert {name: now.get(name, "gone") for name in released} == released


def test_the_next_minor_renders_with_todays_values() -> None:
    """Values that a user wrote for 0.1.0, each of them, are still accepted."""
    values = yaml.safe_load((RELEASED.parents[2] / "charts" / "agent-forge" / "values.yaml").read_text())
    assert len(render(values)) == len(render({}))
