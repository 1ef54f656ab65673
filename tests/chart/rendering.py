"""Charts rendered by a real Helm, and what tests ask of the objects."""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools.find_helm import find_helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "agent-forge"
RELEASE, NAMESPACE, KUBERNETES = "r", "forge", "v1.36.0"
FULLNAME = "r-agent-forge"

Object = dict[str, Any]


@functools.cache
def helm_program() -> Path | str:
    return find_helm()


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = helm_program()
    if isinstance(program, str):
        pytest.skip(program)
    return subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60)


def template(values: Mapping[str, Any], release: str = RELEASE) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(yaml.safe_dump(dict(values)))
        file.flush()
        place = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES)
        return helm("template", release, str(CHART), *place, "--values", file.name)


@functools.cache
def _rendered(values: str, release: str) -> str:
    done = template(json.loads(values), release)
    assert done.returncode == 0, done.stderr
    return done.stdout


def text(values: Mapping[str, Any], release: str = RELEASE) -> str:
    return _rendered(json.dumps(values, sort_keys=True), release)


def render(values: Mapping[str, Any] | None = None, release: str = RELEASE) -> list[Object]:
    return [one for one in yaml.load_all(text(values or {}, release), Loader=_Strict) if one]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def jobs(objects: list[Object]) -> dict[str, Object]:
    """The Job templates, by phase."""
    found = {}
    for one in of_kind(objects, "ConfigMap").values():
        if "job.yaml" in one["data"]:
            job = yaml.load(one["data"]["job.yaml"], Loader=_Strict)
            found[one["metadata"]["labels"]["agentforge.dev/phase"]] = job
    return found


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod that comes of these objects, the workers' included: a name to tell, metadata and spec."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] in ("Deployment", "StatefulSet"):
            yield name, one["spec"]["template"]
        elif one["kind"] == "Pod":
            yield name, one
    for phase, job in jobs(objects).items():
        yield f"Job of {phase}", job["spec"]["template"]


def environment(pod: Object) -> dict[str, Any]:
    """Of the pod's only container: name to value, or to where it comes from."""
    (container,) = pod["spec"]["containers"]
    names = [entry["name"] for entry in container.get("env", [])]
    assert len(names) == len(set(names)), f"twice in the environment: {names}"
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C ten times as fast


class _Strict(_Safe):  # type: ignore[misc]  # one of two
    """A key that is there twice is an error: the API server would take the last one and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"twice in one map: {sorted(twice)} {node.start_mark}"
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made
