"""Every variable that the chart sets is one that the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agentforge_gateway.settings import GatewaySettings
from tests.chart.rendering import CHART, ROOT, environment, jobs, of_kind, pods, render
from tests.chart.switches import SWITCHES

_OF_OTHERS = {"HOME", "GATEWAY", "ASKED", "TIMEOUT_S", "SSL_CERT_FILE", "POSTGRES_USER", "POSTGRES_DB", "PGDATA"}
_OF_OTHERS |= {"POSTGRES_PASSWORD", "WANDB_MODE"}


# Those that change somebody's environment.
_SWITCHES = ("default", "external", "bundled", "own certificates", "local", "gateway", "gpu")


def _read_by(*roots: str) -> set[str]:
    files = [file for root in roots for file in (ROOT / root).rglob("*.py")]
    return set(re.findall(r"AGENTFORGE_[A-Z_]+[A-Z]", "\n".join(file.read_text() for file in files)))


def _set_for(component: str) -> set[str]:
    found: set[str] = set()
    for name in _SWITCHES:
        for _, pod in pods(render(SWITCHES[name])):
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] == component:
                found |= set(environment(pod))
    return found - _OF_OTHERS


def test_the_gateways_environment() -> None:
    fields = {f"AGENTFORGE_{name.upper()}" for name in GatewaySettings.model_fields}
    unknown = _set_for("gateway") - fields
    assert unknown == set()


def test_the_phases_environment() -> None:
    assert _set_for("phase") - _read_by("services/agentforge/kit", "services/agentforge/cli") == set()


def test_the_workers_environment() -> None:
    assert _set_for("worker") - _read_by("services/agentforge/kit") == set()


def test_the_schema_guards_what_the_chart_sets() -> None:
    """What it sets cannot be set a second time by `env`."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    guarded = set(schema["definitions"]["environment"]["propertyNames"]["allOf"][1]["not"]["enum"])
    free = {"AGENTFORGE_HEARTBEAT_S"}  # set by one of the switches, as a user would
    assert _set_for("gateway") | _set_for("phase") | _set_for("worker") <= guarded | free


def test_the_launcher_reads_what_the_chart_says(tmp_path: Path) -> None:
    settings = pytest.importorskip("agentforge.kit.cluster.settings", reason="the launcher is not in this checkout")
    job = {"deadlineSeconds": 3600, "gpus": 4}
    objects = render(
        {"phases": {"adas": {"job": job}}, "launcher": {"pendingTimeoutSeconds": 90, "maxRestarts": 0}}
    )
    told = environment(of_kind(objects, "Deployment")["r-agent-forge-adas"]["spec"]["template"])
    assert told["AGENTFORGE_JOB_TEMPLATE"] == "/etc/agentforge/job.yaml"
    config = of_kind(objects, "ConfigMap")[told["AGENTFORGE_JOB_OWNER"]]
    (tmp_path / "job.yaml").write_text(config["data"]["job.yaml"])
    given = {**told, "AGENTFORGE_JOB_TEMPLATE": str(tmp_path / "job.yaml"), "AGENTFORGE_JOB_NAMESPACE": "forge"}
    read = settings.ClusterSettings.of_environment({k: v for k, v in given.items() if isinstance(v, str)})
    assert read.template == jobs(objects)["adas"]
    assert (read.processes_per_pod, read.pending_timeout_s, read.deadline_s, read.max_restarts) == (4, 90, 3600, 0)


def test_each_phase_is_found_by_the_gateway() -> None:
    objects = render({})
    gateway = of_kind(objects, "Deployment")["r-agent-forge-gateway"]["spec"]["template"]
    target = environment(gateway)["AGENTFORGE_PHASE_TARGET"]
    services = of_kind(objects, "Service")
    for phase in jobs(objects):
        host, _, port = target.format(phase=phase).partition(":")
        assert int(port) in [one["port"] for one in services[host]["spec"]["ports"]]


def test_certificates_name_what_is_called() -> None:
    objects = render(SWITCHES["cert-manager"])
    certificates = of_kind(objects, "Certificate")
    gateway = environment(of_kind(objects, "Deployment")["r-agent-forge-gateway"]["spec"]["template"])
    for phase in jobs(objects):
        called = gateway["AGENTFORGE_PHASE_TARGET"].format(phase=phase).partition(":")[0]
        assert called in certificates["r-agent-forge-phases"]["spec"]["dnsNames"]
    test = next(environment(pod) for name, pod in pods(objects) if name.startswith("Pod"))
    assert test["GATEWAY"] == "https://r-agent-forge-gateway:8080"
    assert {"r-agent-forge-gateway", "forge.example"} <= set(
        certificates["r-agent-forge-gateway"]["spec"]["dnsNames"]
    )
    assert certificates["r-agent-forge-client"]["spec"]["usages"] == ["digital signature", "client auth"]
    assert certificates["r-agent-forge-ca"]["spec"]["isCA"] is True
