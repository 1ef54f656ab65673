"""Rules that hold for every object under every switch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import Object, environment, jobs, of_kind, pods, render
from tests.chart.restricted import violations
from tests.chart.switches import SWITCHES
from tests.chart.validation import FOREIGN, faults, newest_minors

every_switch = pytest.mark.parametrize("name", SWITCHES)
_OURS = ("r-agent-forge-", "forge-")  # else the user says that it is there


@every_switch
def test_valid_for_the_four_newest_kubernetes(name: str) -> None:
    objects = render(SWITCHES[name])
    documents = [one for one in objects if not FOREIGN.match(one["apiVersion"])] + list(jobs(objects).values())
    assert [fault for one in documents for version in newest_minors() for fault in faults(one, version)] == []


def test_the_schemas_find_a_wrong_field() -> None:
    (job,) = jobs(render({"phases": {p: {"enabled": p == "adas"} for p in _PHASES}})).values()
    job["spec"]["template"]["spec"]["nodeSelectr"] = {}
    job["spec"]["completions"] = "2"
    for version in newest_minors():
        told = " ".join(faults(job, version))
        assert "nodeSelectr" in told
        assert "spec.completions" in told


_PHASES = ("cognate", "evomerge", "quietstar", "bitnet", "training", "baking", "adas", "compression")


@every_switch
def test_pods_are_restricted(name: str) -> None:
    """`openshift` too: the user alone is then the cluster's choice."""
    found = {pod: violations(one["spec"]) for pod, one in pods(render(SWITCHES[name]))}
    assert {pod: faults for pod, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "hostPath"),
        ({"securityContext": {}}, "runAsNonRoot"),
        ({"securityContext": {"runAsNonRoot": True, "runAsUser": 10001}}, "seccomp"),
        ({"containers": [{"name": "x", "securityContext": {"allowPrivilegeEscalation": False}}]}, "capabilities"),
        ({"initContainers": [{"name": "before"}]}, "before: allowPrivilegeEscalation"),
    ],
)
def test_what_is_not_restricted_is_found(change: dict[str, Any], told: str) -> None:
    spec = next(pod["spec"] for name, pod in pods(render({})) if "gateway" in name)
    assert any(told in one for one in violations({**spec, **change}))


@every_switch
def test_mounts_have_volumes(name: str) -> None:
    for pod, one in pods(render(SWITCHES[name])):
        there = {volume["name"] for volume in one["spec"]["volumes"]}
        if pod.startswith("StatefulSet"):
            there.add("database")
        mounts = [mount for container in one["spec"]["containers"] for mount in container["volumeMounts"]]
        assert {mount["name"] for mount in mounts} == there, pod
        paths = sorted(mount["mountPath"] for mount in mounts)
        assert len(set(paths)) == len(paths)
        for outer in paths:  # a mount point inside a read-only mount could not be made
            assert not [inner for inner in paths if inner.startswith(f"{outer}/")], pod


_SELECTORS = {
    "Service": ["selector"],
    "Deployment": ["selector", "matchLabels"],
    "StatefulSet": ["selector", "matchLabels"],
    "PodDisruptionBudget": ["selector", "matchLabels"],
    "NetworkPolicy": ["podSelector", "matchLabels"],
    "CiliumNetworkPolicy": ["endpointSelector", "matchLabels"],
}
_NO_PHASE = ("-phases", "-phase", "-worker")  # what selects nothing where there is no phase


@every_switch
def test_selectors_find_their_pods(name: str) -> None:
    objects = render(SWITCHES[name])
    labels = [one["metadata"]["labels"] for _, one in pods(objects)]
    for one in objects:
        spec = one.get("spec", {})
        if one["kind"] not in _SELECTORS or (name == "no phase" and one["metadata"]["name"].endswith(_NO_PHASE)):
            continue
        wanted = spec
        for key in _SELECTORS[one["kind"]]:
            wanted = wanted[key]
        found = [have for have in labels if wanted.items() <= have.items()]
        assert found, (one["kind"], one["metadata"]["name"])
        if one["kind"] in ("Deployment", "StatefulSet"):
            assert len(found) == 1
            assert wanted.items() <= spec["template"]["metadata"]["labels"].items()
        if one["kind"] == "Service":
            assert len(found) == 1, "a Service that sends calls of one phase to another"


@every_switch
def test_ports_are_named_and_found(name: str) -> None:
    objects = render(SWITCHES[name])
    offered: dict[str, dict[str, int]] = {}
    for service in of_kind(objects, "Service").values():
        behind = [
            container
            for _, pod in pods(objects)
            if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
            for container in pod["spec"]["containers"]
        ]
        ports = {port["name"]: port["containerPort"] for container in behind for port in container["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
        offered[service["metadata"]["name"]] = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    for pod, one in pods(objects):
        for container in one["spec"]["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            for probe in (container[key] for key in container if key.endswith("Probe")):
                if "grpc" in probe:
                    assert probe["grpc"]["port"] == ports["health"], pod
                elif "httpGet" in probe:
                    assert probe["httpGet"]["port"] in ports, pod
    for ingress in of_kind(objects, "Ingress").values():
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend["port"]["name"] in offered[backend["name"]]
    for kind in ("HTTPRoute", "GRPCRoute"):
        for route in of_kind(objects, kind).values():
            (backend,) = route["spec"]["rules"][0]["backendRefs"]
            assert backend["port"] in offered[backend["name"]].values()


@every_switch
def test_what_pods_name_is_there(name: str) -> None:
    """ConfigMaps, Secrets, claims and accounts: made by the chart, or by cert-manager, or said to be the user's."""
    objects = render(SWITCHES[name])
    have = {
        kind: set(of_kind(objects, kind))
        for kind in ("ConfigMap", "Secret", "PersistentVolumeClaim", "ServiceAccount")
    }
    have["Secret"] |= {one["spec"]["secretName"] for one in of_kind(objects, "Certificate").values()}
    if name == "no phase":
        have["Secret"].add("r-agent-forge-phases-tls")
    for pod, one in pods(objects):
        for kind, wanted in _named(one):
            if wanted.startswith(_OURS):
                assert wanted in have[kind], (pod, kind, wanted)
            else:
                assert wanted in _USERS, (pod, kind, wanted)


_USERS = {"shared", "mine", "pg", "g-tls", "p-tls", "c-tls", "wandb", "more"}


def _named(pod: Object) -> list[tuple[str, str]]:
    spec = pod["spec"]
    found = [("ServiceAccount", spec["serviceAccountName"])]
    found += [("Secret", one["name"]) for one in spec.get("imagePullSecrets", [])]
    for volume in spec["volumes"]:
        if "configMap" in volume:
            found.append(("ConfigMap", volume["configMap"]["name"]))
        if "secret" in volume:
            found.append(("Secret", volume["secret"]["secretName"]))
        if "persistentVolumeClaim" in volume:
            found.append(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    found += [("Secret", one["secretRef"]["name"]) for one in spec["containers"][0].get("envFrom", [])]
    values = [value for value in environment(pod).values() if isinstance(value, dict)]
    return found + [("Secret", value["secretKeyRef"]["name"]) for value in values]


@every_switch
def test_services_hold_no_device(name: str) -> None:
    for pod, one in pods(render(SWITCHES[name])):
        if pod.startswith("Job"):
            continue
        for container in one["spec"]["containers"]:
            resources = container["resources"]
            asked = {key for kind in ("requests", "limits") for key in resources.get(kind, {})}
            assert asked <= {"cpu", "memory", "ephemeral-storage"}, pod
        assert "runtimeClassName" not in one["spec"]


@every_switch
def test_the_api_server_is_for_phase_services_alone(name: str) -> None:
    for pod, one in pods(render(SWITCHES[name])):
        is_phase = one["metadata"]["labels"]["app.kubernetes.io/component"] == "phase"
        assert one["spec"]["automountServiceAccountToken"] is (is_phase and name != "local"), pod
        assert one["spec"]["enableServiceLinks"] is False, pod
