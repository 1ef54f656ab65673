"""What single parts of the chart say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from agentforge.pipeline import PIPELINE
from tests.chart.rendering import CHART, FULLNAME, environment, jobs, of_kind, pods, render
from tests.chart.switches import SWITCHES, Values

_VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def test_the_phases_of_the_pipeline() -> None:
    assert list(_VALUES["phases"]) == list(PIPELINE.names)
    assert set(jobs(render({}))) == set(PIPELINE.names)


def test_a_phase_of_yours_is_one_entry() -> None:
    plain, more = render({}), render({"phases": {"mine": {}}})
    new = [one for one in more if one["metadata"]["labels"].get("agentforge.dev/phase") == "mine"]
    assert sorted(one["kind"] for one in new) == ["ConfigMap", "Deployment", "Service"]
    assert {one["metadata"]["name"] for one in more} - {one["metadata"]["name"] for one in plain} == {
        f"{FULLNAME}-mine", f"{FULLNAME}-mine-job",
    }  # fmt: skip
    (role,) = of_kind(more, "Role").values()
    assert f"{FULLNAME}-mine-job" in role["rules"][-1]["resourceNames"]


def test_defaults_are_merged_under_each_phase() -> None:
    """Also where what a phase says is false, 0, empty or null, which common merge functions pass over."""
    defaults: Values = {
        "nodeSelector": {"zone": "a", "disk": "ssd"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "job": {"gpus": 2, "deadlineSeconds": 60, "env": {"A": "1", "B": "2"}},
    }
    own = {
        "nodeSelector": {"zone": "b", "disk": None},
        "tolerations": [],
        "job": {"gpus": 0, "deadlineSeconds": 0, "env": {"B": "3"}},
    }
    objects = render({"phaseDefaults": defaults, "phases": {"adas": own}})
    services, templates = of_kind(objects, "Deployment"), jobs(objects)
    adas, other = (services[f"{FULLNAME}-{name}"]["spec"]["template"] for name in ("adas", "cognate"))
    assert other["spec"]["nodeSelector"] == {"zone": "a", "disk": "ssd"}
    assert adas["spec"]["nodeSelector"] == {"zone": "b"}
    assert "tolerations" in other["spec"]
    assert "tolerations" not in adas["spec"]
    told = [environment(pod)["AGENTFORGE_JOB_DEADLINE_S"] for pod in (adas, other)]
    assert told == ["0", "60"]
    env = environment(templates["adas"]["spec"]["template"])
    assert (env["A"], env["B"]) == ("1", "3")
    limits = [_worker(templates[name])["resources"]["limits"] for name in ("adas", "cognate")]
    assert [limit.get("nvidia.com/gpu") for limit in limits] == [None, 2]


@pytest.mark.parametrize(
    ("job", "limit", "processes"),
    [
        ({}, {}, "1"),
        ({"gpus": 4}, {"nvidia.com/gpu": 4}, "4"),
        ({"gpus": 4, "processesPerPod": 2}, {"nvidia.com/gpu": 4}, "2"),
        ({"gpus": 1, "gpuResource": "nvidia.com/mig-1g.10gb"}, {"nvidia.com/mig-1g.10gb": 1}, "1"),
        ({"processesPerPod": 8}, {}, "8"),
        ({"gpus": 2, "gpuResource": "amd.com/gpu"}, {"amd.com/gpu": 2}, "2"),
    ],
)
def test_gpus_are_in_jobs(job: dict[str, Any], limit: dict[str, int], processes: str) -> None:
    objects = render({"phases": {"training": {"job": job}}})
    template = jobs(objects)["training"]
    assert _worker(template)["resources"]["limits"] == {"memory": "8Gi", **limit}
    service = of_kind(objects, "Deployment")[f"{FULLNAME}-training"]["spec"]["template"]
    assert environment(service)["AGENTFORGE_JOB_PROCESSES_PER_POD"] == processes


def test_the_job_template_leaves_the_rest_to_the_launcher() -> None:
    for template in jobs(render({})).values():
        worker = _worker(template)
        assert worker["name"] == "worker"
        assert not {"command", "args"} & set(worker)
        assert template["spec"].keys() == {"template"}
        assert template["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        shm = next(one for one in template["spec"]["template"]["spec"]["volumes"] if one["name"] == "shm")
        assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}


def test_kueue() -> None:
    for template in jobs(render(SWITCHES["kueue"])).values():
        assert template["spec"]["suspend"] is True
        assert template["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
        assert template["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "research"


def test_a_single_node_holds_all_that_use_the_volume() -> None:
    want: dict[str, Any] = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "r", "agentforge.dev/volume": "shared"}},
    }
    mine = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}
    values = {**SWITCHES["single node"], "phases": {"adas": {"job": {"affinity": mine}}}}
    for name, pod in pods(render(values)):
        if "data" not in {volume["name"] for volume in pod["spec"]["volumes"]}:
            continue
        terms = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert want in terms
        assert want["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert len(terms) == (2 if name == "Job of adas" else 1)


@pytest.mark.parametrize(
    ("name", "strategy"), [("default", "Recreate"), ("external", "RollingUpdate"), ("bundled", "RollingUpdate")]
)
def test_strategies(name: str, strategy: str) -> None:
    deployments = of_kind(render(SWITCHES[name]), "Deployment")
    assert deployments.pop(f"{FULLNAME}-gateway")["spec"]["strategy"]["type"] == strategy
    assert {one["spec"]["strategy"]["type"] for one in deployments.values()} == {"Recreate"}


def test_the_database_is_never_on_the_shared_volume() -> None:
    gateway = of_kind(render({}), "Deployment")[f"{FULLNAME}-gateway"]["spec"]["template"]
    mounts = {one["mountPath"]: one["name"] for one in gateway["spec"]["containers"][0]["volumeMounts"]}
    path = environment(gateway)["AGENTFORGE_DATABASE_URL"].removeprefix("sqlite+aiosqlite:///")
    assert mounts[path.rpartition("/")[0]] == "database"
    claim = of_kind(render({}), "PersistentVolumeClaim")[f"{FULLNAME}-database"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


@pytest.mark.parametrize(("keep", "kept"), [(True, ["keep", "keep"]), (False, [None, None])])
def test_models_outlive_the_release(keep: bool, kept: list[str | None]) -> None:
    claims = of_kind(render({"volume": {"keep": keep}}), "PersistentVolumeClaim").values()
    assert [one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for one in claims] == kept


def test_rights_of_phase_services() -> None:
    objects = render({})
    (role,) = of_kind(objects, "Role").values()
    rights = {(rule["apiGroups"][0], rule["resources"][0]): rule["verbs"] for rule in role["rules"]}
    assert rights == {
        ("batch", "jobs"): ["create", "get", "list", "watch", "delete"],
        ("", "pods"): ["get", "list", "watch"],
        ("", "services"): ["create", "get", "delete"],
        ("", "events"): ["list"],
        ("", "configmaps"): ["get"],
    }
    owned = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
    assert owned == [sorted(f"{FULLNAME}-{name}-job" for name in PIPELINE.names)]
    (binding,) = of_kind(objects, "RoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == [f"{FULLNAME}-phases"]
    assert not {"ClusterRole", "ClusterRoleBinding"} & {one["kind"] for one in objects}
    assert not of_kind(render(SWITCHES["local"]), "Role")


def test_images() -> None:
    found = {name: pod["spec"]["containers"][0] for name, pod in pods(render(SWITCHES["registry"]))}
    assert found["Job of adas"]["image"] == "registry.example/team/agentforge-adas:1.2.3"
    assert found["Deployment r-agent-forge-gateway"]["image"] == "registry.example/team/agentforge-gateway:1.2.3"
    assert {one["imagePullPolicy"] for one in found.values()} == {"Always"}
    gpu = {name: pod["spec"]["containers"][0]["image"] for name, pod in pods(render(SWITCHES["gpu"]))}
    assert gpu["Job of adas"] == "agentforge-adas:0.1.0-cuda"
    assert gpu["Deployment r-agent-forge-adas"] == "agentforge-adas:0.1.0"
    pinned = dict(pods(render(SWITCHES["gateway"])))["Deployment r-agent-forge-gateway"]["spec"]["containers"][0][
        "image"
    ]
    assert pinned == f"agentforge-gateway:0.1.0@sha256:{'0' * 64}"


def _worker(job: dict[str, Any]) -> dict[str, Any]:
    (worker,) = job["spec"]["template"]["spec"]["containers"]
    assert isinstance(worker, dict)
    return worker
