"""NetworkPolicies as a table: who may speak to whom. Everything else is refused."""

from __future__ import annotations

import pytest

from tests.chart.rendering import Object, of_kind, pods, render
from tests.chart.switches import SWITCHES

_NAMES = {"gateway", "phase", "worker", "postgresql", "test"}


def _matches(selector: Object, labels: dict[str, str]) -> bool:
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _allowed(objects: list[Object], source: dict[str, str], target: dict[str, str], port: int) -> bool:
    """As Kubernetes decides about two pods of this namespace: both ends must allow it."""
    policies = of_kind(objects, "NetworkPolicy").values()

    def end(pod: dict[str, str], other: dict[str, str], direction: str, key: str) -> bool:
        mine = [one["spec"] for one in policies if _matches(one["spec"]["podSelector"], pod)]
        assert mine
        assert all(direction.title() in one["policyTypes"] for one in mine), "an end that no policy isolates"
        return any(_rule(rule, key, other, port) for one in mine for rule in one.get(direction) or [])

    return end(source, target, "egress", "to") and end(target, source, "ingress", "from")


def _rule(rule: Object, key: str, other: dict[str, str], port: int) -> bool:
    ports = [one["port"] for one in rule.get("ports", []) if one.get("protocol") == "TCP"]
    if "ports" in rule and port not in ports:
        return False
    peers = rule.get(key)
    return peers is None or any("podSelector" in peer and _matches(peer["podSelector"], other) for peer in peers)


def _labels(objects: list[Object]) -> dict[str, dict[str, str]]:
    labels = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    return {each["app.kubernetes.io/component"]: each for each in labels}


_ALLOWED = {("gateway", "phase", 50051), ("gateway", "postgresql", 5432), ("test", "gateway", 8080)}
_PORTS = (8080, 50050, 50051, 50052, 9464, 5432, 29500, 40000)


def test_who_may_speak_to_whom() -> None:
    objects = render({"database": {"kind": "bundled"}})
    labels = _labels(objects)
    assert set(labels) == _NAMES
    found = {
        (source, target, port)
        for source in labels
        for target in labels
        for port in _PORTS
        if _allowed(objects, labels[source], labels[target], port)
    }
    collectives = {("worker", "worker", port) for port in _PORTS}  # on ports that they choose themselves
    assert found == _ALLOWED | collectives


def test_another_release_is_a_stranger() -> None:
    objects = render({})
    ours = _labels(objects)
    theirs = {**ours["worker"], "app.kubernetes.io/instance": "other"}
    (policy,) = [one for name, one in of_kind(objects, "NetworkPolicy").items() if name.endswith("-worker")]
    assert not any(_rule(rule, "from", theirs, 29500) for rule in policy["spec"]["ingress"])


def _out(cidr: str, *ports: int) -> Object:
    return {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"protocol": "TCP", "port": port} for port in ports]}


@pytest.mark.parametrize(
    ("switch", "policy", "rule"),
    [
        ("default", "phase", _out("0.0.0.0/0", 443, 6443)),
        ("policies", "phase", _out("10.0.0.1/32", 6443)),
        ("policies", "worker", {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 443}]}),
        ("policies", "gateway", {"ports": [{"port": 4317}]}),
        ("external, fenced", "gateway", _out("10.0.0.8/32", 6432)),
    ],
)
def test_ways_out(switch: str, policy: str, rule: Object) -> None:
    assert rule in of_kind(render(SWITCHES[switch]), "NetworkPolicy")[f"r-agent-forge-{policy}"]["spec"]["egress"]


def test_workers_reach_neither_the_api_server_nor_the_internet() -> None:
    egress = of_kind(render({}), "NetworkPolicy")["r-agent-forge-worker"]["spec"]["egress"]
    assert [list(rule) for rule in egress] == [["to"]]
    assert all("podSelector" in peer for rule in egress for peer in rule["to"])


def test_local_workers_have_the_workers_ways_out() -> None:
    extra = [{"ports": [{"port": 443}]}]
    objects = render({"launcher": {"kind": "local"}, "networkPolicy": {"workerEgress": extra}})
    assert of_kind(objects, "NetworkPolicy")["r-agent-forge-phase"]["spec"]["egress"] == extra
