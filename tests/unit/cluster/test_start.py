"""What the environment chooses, and how a service declines to start where it could launch nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agentforge.kit.cluster import KubernetesLauncher
from agentforge.kit.errors import FailedPrecondition, InvalidInput, MissingTool
from agentforge.kit.launch import LAUNCHER_VARIABLE, LocalLauncher, launcher_of_environment
from tests.fakes.kubernetes_api import FakeCluster
from tests.harness import TEST_PIPELINE, environment
from tests.unit.cluster.conftest import ROOT, TEMPLATE


@pytest.fixture
def told(tmp_path: Path, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment outside of a cluster, whose configuration file names the fake."""
    template, kubeconfig = tmp_path / "job.yaml", tmp_path / "kubeconfig"
    template.write_text(yaml.safe_dump(TEMPLATE))
    named = [{"name": "c", "cluster": {"server": cluster.url}}]
    contexts = [{"name": "x", "context": {"cluster": "c", "user": "u"}}]
    users = [{"name": "u", "user": {"token": "t"}}]
    file = {"apiVersion": "v1", "kind": "Config", "clusters": named, "contexts": contexts, "users": users}
    kubeconfig.write_text(json.dumps(file | {"current-context": "x"}))
    values = {
        LAUNCHER_VARIABLE: "kubernetes",
        "KUBECONFIG": str(kubeconfig),
        "AGENTFORGE_JOB_TEMPLATE": str(template),
        "AGENTFORGE_JOB_NAMESPACE": "forge",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return values


def test_local_is_the_default_and_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LAUNCHER_VARIABLE, raising=False)
    assert isinstance(launcher_of_environment(), LocalLauncher)
    monkeypatch.setenv(LAUNCHER_VARIABLE, "kubernets")
    with pytest.raises(InvalidInput, match="'kubernets' is no launcher"):
        launcher_of_environment()


def test_the_environment_chooses_the_cluster(told: dict[str, str]) -> None:
    assert isinstance(launcher_of_environment(), KubernetesLauncher)


def test_without_the_client_it_says_what_to_install(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(MissingTool, match="pip install 'agentforge\\[cluster\\]'"):
        launcher_of_environment()


def test_without_a_cluster_it_says_so(
    told: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(FailedPrecondition, match="tells of none"):
        launcher_of_environment()


def test_a_service_without_its_rights_ends_with_their_names(
    told: dict[str, str], cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.faults.forbidden = {"create jobs"}
    command = [sys.executable, "-m", "agentforge.kit.serve", "count", "--listen", f"unix:{tmp_path}/s"]
    declared = environment(tmp_path / "volume", TEST_PIPELINE) | told
    done = subprocess.run(command, env=declared, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == FailedPrecondition.exit_code, done.stderr
    assert "create jobs" in done.stderr
    assert "docs/cluster.md" in done.stderr
    assert "Traceback" not in done.stderr
