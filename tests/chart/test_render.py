"""The chart renders, with every switch on and off, to the same bytes each time, and to few of them."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml

from tests.chart.rendering import CHART, NAMESPACE, helm, of_kind, render, text
from tests.chart.switches import SWITCHES, Values

_MOST_DEFAULT_BYTES = 90_000  # 80,540 when this was written: eight phases of 8 kB, and the rest
_MOST_OF_A_PHASE = 9_000
_MOST_BYTES = 160_000  # with every switch that adds objects; a release's Secret holds 1 MiB of gzip and base64


def test_lint() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_renders(name: str) -> None:
    objects = render(SWITCHES[name])
    names = Counter((one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in objects)
    assert [twice for twice, count in names.items() if count > 1] == []
    assert {one["metadata"]["namespace"] for one in objects} == {NAMESPACE}
    for one in objects:
        assert len(one["metadata"]["name"]) <= 63
        assert one["metadata"]["labels"]["app.kubernetes.io/name"] == "agent-forge"


@pytest.mark.parametrize("name", [name for name in SWITCHES if name != "default"])
def test_every_switch_does_something(name: str) -> None:
    """A value that changes nothing would be a dead option. (Secrets are made by chance, and differ anyway.)"""
    switched, plain = ([one for one in render(v) if one["kind"] != "Secret"] for v in (SWITCHES[name], {}))
    assert switched != plain


def test_the_same_values_make_the_same_bytes() -> None:
    once = text({"token": {"existingSecret": "fixed"}, "kueue": {"queueName": "a"}})
    text.__globals__["_rendered"].cache_clear()
    assert text({"token": {"existingSecret": "fixed"}, "kueue": {"queueName": "a"}}) == once


def test_sizes() -> None:
    default = len(text({}))
    one_less = len(text({"phases": {"adas": {"enabled": False}}}))
    everything: Values = {
        "database": {"kind": "bundled"},
        **{key: SWITCHES[name][key] for name, key in (("ingress", "ingress"), ("gateway api", "gatewayApi"))},
        **SWITCHES["gpu"],
        **SWITCHES["monitoring"],
    }
    assert default < _MOST_DEFAULT_BYTES
    assert default - one_less < _MOST_OF_A_PHASE
    assert len(text(everything)) < _MOST_BYTES


def test_a_changed_job_rolls_its_phase_and_no_other() -> None:
    before = of_kind(render({}), "Deployment")
    after = of_kind(render({"phases": {"adas": {"job": {"gpus": 1}}}}), "Deployment")
    assert [name for name in before if before[name] != after[name]] == ["r-agent-forge-adas"]
    told = [
        deployments["r-agent-forge-adas"]["spec"]["template"]["metadata"]["annotations"]
        for deployments in (before, after)
    ]
    assert told[0]["checksum/job"] != told[1]["checksum/job"]


def test_a_new_version_of_the_chart_alone_rolls_nothing() -> None:
    """Pods carry no label that changes with each version."""
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    for deployment in of_kind(render({}), "Deployment").values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert not [value for value in labels.values() if version in value]


def test_what_is_made_by_chance_is_long() -> None:
    objects = render({"database": {"kind": "bundled"}})
    secrets = of_kind(objects, "Secret")
    password = secrets["r-agent-forge-postgresql"]["stringData"]["password"]
    assert len(password) == 32
    assert f":{password}@r-agent-forge-postgresql:5432/" in secrets["r-agent-forge-postgresql"]["stringData"]["url"]
    assert len(secrets["r-agent-forge-token"]["data"]["token"]) == 64  # base64 of 48
