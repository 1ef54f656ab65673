"""What the schema, and the chart's own checks, refuse; and that the error says where."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.rendering import CHART, helm, template

_LOCAL = {"launcher": {"kind": "local"}}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {  # values, and two words that the error must hold
    "a typo at the top": ({"gatway": {}}, "gatway", "dditional propert"),
    "a typo in a phase": ({"phases": {"cognate": {"gpu": 1}}}, "cognate", "gpu"),
    "a typo in a job": ({"phases": {"cognate": {"job": {"gpuss": 1}}}}, "job", "gpuss"),
    "a typo in the defaults": ({"phaseDefaults": {"job": {"shmsize": "1Gi"}}}, "phaseDefaults", "shmsize"),
    "a typo in a toleration": ({"gateway": {"tolerations": [{"kye": "a"}]}}, "tolerations", "kye"),
    "a typo in policies": ({"networkPolicy": {"gatewayfrom": []}}, "networkPolicy", "gatewayfrom"),
    "RWO for several nodes": ({"volume": {"accessMode": "ReadWriteOnce"}}, "accessMode", "ReadWriteMany"),
    "another access mode": ({"volume": {"accessMode": "ReadOnlyMany"}}, "accessMode", "ReadWriteOnce"),
    "a GPU in a service": ({"phases": {"adas": {"resources": {"limits": {"a.com/gpu": 1}}}}}, "adas", "a.com/gpu"),
    "a GPU in the gateway": ({"gateway": {"resources": {"requests": {"a.com/gpu": 1}}}}, "gateway", "a.com/gpu"),
    "two supervisors": ({"phases": {"adas": {"replicas": 2}}}, "replicas", "1"),
    "a name that is no DNS label": ({"phases": {"Bad_Name": {}}}, "phases", "Bad_Name"),
    "a name of another part": ({"phases": {"gateway": {}}}, "phases", "gateway"),
    "a name that is too long": ({"phases": {"a" * 17: {}}}, "phases", "a" * 17),
    "a phase that is null": ({"phases": {"mine": None}}, "phases", "mine"),
    "a number in the environment": ({"gateway": {"env": {"A": 1}}}, "env", "A"),
    "what the chart sets": ({"gateway": {"env": {"AGENTFORGE_HOME": "/x"}}}, "env", "AGENTFORGE_HOME"),
    "a bad quantity": ({"volume": {"size": "100 GB"}}, "volume", "size"),
    "a bad digest": ({"gateway": {"image": {"digest": "latest"}}}, "image", "digest"),
    "a port": ({"networkPolicy": {"dns": {"ports": [70000]}}}, "dns", "ports"),
    "no DNS": ({"networkPolicy": {"dns": {"to": []}}}, "dns", "to"),
    "external without its Secret": ({"database": {"kind": "external"}}, "external", "existingSecret"),
    "certificates without Secrets": ({"tls": {"mode": "existing"}}, "existing", "clientSecret"),
    "an Ingress without a host": ({"ingress": {"enabled": True}}, "ingress", "host"),
    "routes without a Gateway": ({"gatewayApi": {"enabled": True}}, "gatewayApi", "parentRefs"),
    "two gateways on SQLite": ({"gateway": {"replicas": 2}}, "gateway.replicas", "PostgreSQL"),
    "GPUs without Jobs": ({**_LOCAL, "phaseDefaults": {"job": {"gpus": 1}}}, "gpus", "local"),
    "Kueue without Jobs": ({**_LOCAL, "kueue": {"queueName": "a"}}, "kueue.queueName", "local"),
    "two MIG slices": (
        {"phases": {"adas": {"job": {"gpus": 2, "gpuResource": "nvidia.com/mig-1g.10gb"}}}}, "adas.job.gpus", "MIG",
    ),
}  # fmt: skip


# Helm itself is asked about these: one of each kind of error, and those that the schema cannot know.
_BY_HELM = ("a typo in a job", "RWO for several nodes", "a GPU in a service", "a name that is no DNS label")
_BY_CHECKS = ("two gateways on SQLite", "GPUs without Jobs", "Kueue without Jobs", "two MIG slices")


@pytest.mark.parametrize("name", [*_BY_HELM, *_BY_CHECKS])
def test_refused_by_helm(name: str) -> None:
    values, where, what = REFUSED[name]
    done = template(values)
    assert done.returncode != 0
    assert where in done.stderr
    assert what in done.stderr


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in _BY_CHECKS])
def test_refused_by_the_schema(name: str) -> None:
    values, where, what = REFUSED[name]
    told = "\n".join(_errors(values))
    assert where in told
    assert what.removeprefix("d") in told


def test_the_defaults_are_accepted() -> None:
    assert _errors({}) == []


def _errors(values: dict[str, Any]) -> list[str]:
    """Path and message of each, of the values over the chart's own."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    own = yaml.safe_load((CHART / "values.yaml").read_text())
    found = jsonschema.Draft7Validator(schema).iter_errors(_over(own, values))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def _over(own: Any, given: Any) -> Any:
    if not (isinstance(own, dict) and isinstance(given, dict)):
        return given
    return {**own, **{key: _over(own.get(key), value) for key, value in given.items()}}


def test_a_release_whose_name_begins_with_a_digit() -> None:
    done = template({}, release="7b")
    assert done.returncode != 0
    assert "fullnameOverride" in done.stderr
    assert template({"fullnameOverride": "forge"}, release="7b").returncode == 0


def test_an_old_cluster_is_refused() -> None:
    done = helm("template", "r", str(CHART), "--kube-version", "v1.31.9")
    assert done.returncode != 0
    assert "kubeVersion" in done.stderr
    for vendor in ("v1.34.1-gke.1829001", "v1.33.5-eks-3025e55"):
        assert helm("template", "r", str(CHART), "--kube-version", vendor).returncode == 0
