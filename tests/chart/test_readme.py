"""The chart's README is what its values say, and every value has a place in the schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART
from tests.tools import write_chart_readme


def test_the_readme_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["write_chart_readme", "--check"])
    assert write_chart_readme.main() == 0


def test_an_old_readme_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "README.md").write_text(write_chart_readme.PAGE.read_text() + "more\n")
    monkeypatch.setattr(write_chart_readme, "PAGE", tmp_path / "README.md")
    monkeypatch.setattr("sys.argv", ["write_chart_readme", "--check"])
    assert write_chart_readme.main() == 1


def test_the_top_and_what_has_no_plain_name_are_commented() -> None:
    text = (CHART / "values.yaml").read_text()
    bare = [row for row in write_chart_readme.rows(text) if row.endswith("| |")]
    plain = {
        "nodeSelector",
        "tolerations",
        "affinity",
        "topologySpreadConstraints",
        "priorityClassName",
        "enabled",
        "host",
    }
    plain |= {"className", "cpu", "memory", "metricsFrom", "phases", "workers"} | set(
        yaml.safe_load(text)["phases"]
    )
    names = [row.split("`")[1].split(".") for row in bare]
    assert [".".join(name) for name in names if name[-1] not in plain and not _OWN_WORDS & set(name)] == []


# What lies in these is Kubernetes', or said above them.
_OWN_WORDS = {"podSecurityContext", "podAnnotations", "databasePorts", "resources"}


def test_the_schema_has_each_value_and_closes_each_map() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
    assert set(schema["required"]) == set(values)
    assert set(values["phaseDefaults"]) == set(schema["definitions"]["phase"]["properties"])
    assert set(values["phaseDefaults"]["job"]) == set(schema["definitions"]["job"]["properties"])
    assert [path for path in _open(schema, "") if path.rpartition(".")[2] not in _FREE] == []


# Kubernetes' own objects of any shape; the API server knows them better.
_FREE = {
    "global",
    "nodeAffinity",
    "podAffinity",
    "podAntiAffinity",
    "labelSelector",
    "podSelector",
    "namespaceSelector",
}


def _open(part: Any, path: str) -> list[str]:
    """Objects of the schema that take any key."""
    if not isinstance(part, dict):
        return []
    found = [path] if part.get("type") == "object" and "additionalProperties" not in part else []
    for key, value in part.items():
        inside = path if key in ("properties", "items") else f"{path}.{key}"
        found += _open(value, inside) if key != "additionalProperties" else []
    return found
