"""Dashboards and alerts ask for metrics that the code has, and alerts name a paragraph that is there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from agentforge_gateway.models import State
from tests.chart.rendering import ROOT, of_kind, render
from tests.chart.switches import SWITCHES

# Of Prometheus itself, the kubelet and cert-manager.
_OF_OTHERS = {"up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes",
              "certmanager_certificate_expiration_timestamp_seconds"}  # fmt: skip
_METRIC = re.compile(r"\b((?:agentforge|kubelet|certmanager)_\w+|up)(?=[{\[ ])")
_SOURCES = ("gateway/agentforge_gateway/metrics.py", "services/agentforge/kit/serve/metrics.py")


def _expressions() -> list[str]:
    objects = render(SWITCHES["monitoring"])
    (rule,) = of_kind(objects, "PrometheusRule").values()
    panels = json.loads(of_kind(objects, "ConfigMap")["r-agent-forge-dashboard"]["data"]["agent-forge.json"])[
        "panels"
    ]
    found = [one["expr"] for group in rule["spec"]["groups"] for one in group["rules"]]
    return found + [target["expr"] for panel in panels for target in panel["targets"]]


def _alerts() -> list[dict[str, Any]]:
    (rule,) = of_kind(render(SWITCHES["monitoring"]), "PrometheusRule").values()
    return [one for group in rule["spec"]["groups"] for one in group["rules"]]


def test_metrics_exist() -> None:
    code = "\n".join((ROOT / source).read_text() for source in _SOURCES)
    defined = set(re.findall(r'"(agentforge_\w+)"', code))
    # What prometheus_client makes of a counter's and a histogram's name.
    defined |= {name + ending for name in defined for ending in ("_total", "_bucket")}
    asked = {name for expression in _expressions() for name in _METRIC.findall(expression)}
    assert len(asked) >= 8
    assert asked - defined - _OF_OTHERS == set()


def test_states_exist() -> None:
    states = {state.value.removeprefix("RUN_STATE_").lower() for state in State}
    asked = {name for expression in _expressions() for name in re.findall(r'state="(\w+)"', expression)}
    assert asked
    assert asked <= states


def test_expressions_are_promql() -> None:
    parser = pytest.importorskip("promql_parser", reason="promql-parser is not installed")
    for expression in _expressions():
        parser.parse(expression.replace("$namespace", "forge"))
    with pytest.raises(ValueError, match=r"\w"):
        parser.parse("sum by (rate(")


def test_every_alert_has_its_paragraph() -> None:
    page = ROOT / "docs" / "operate.md"
    if not page.exists():
        pytest.skip("docs/operate.md is not written yet")
    headings = {line.lstrip("# ").lower() for line in page.read_text().splitlines() if line.startswith("#")}
    for alert in _alerts():
        file, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert file == "docs/operate.md"
        assert anchor in headings, alert["alert"]


def test_alerts_say_what_matters() -> None:
    for alert in _alerts():
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert alert["annotations"]["summary"].endswith(".")


def test_monitors_find_their_ports_and_the_token() -> None:
    objects = render(SWITCHES["monitoring"])
    services = of_kind(objects, "Service").values()
    for monitor in of_kind(objects, "ServiceMonitor").values():
        wanted = monitor["spec"]["selector"]["matchLabels"]
        behind = [one for one in services if wanted.items() <= one["metadata"]["labels"].items()]
        assert behind
        for service in behind:
            ports = {port["name"] for port in service["spec"]["ports"]}
            assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
    (endpoint,) = of_kind(objects, "ServiceMonitor")["r-agent-forge-gateway"]["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "r-agent-forge-token", "key": "token"}
    assert (endpoint["scheme"], endpoint["tlsConfig"]["serverName"]) == ("https", "r-agent-forge-gateway")
