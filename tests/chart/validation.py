"""Kubernetes' own schemas, strict: a field that a version does not have is an error."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema
from kubernetes_validate import utils  # type: ignore[import-untyped]  # it has no types
from referencing import Registry, Resource

# Kinds of others, which Kubernetes' schemas do not have.
FOREIGN = re.compile(r"(cert-manager\.io|monitoring\.coreos\.com|gateway\.networking\.k8s\.io|cilium\.io)/")


def newest_minors(count: int = 4) -> list[str]:
    return sorted(utils.all_versions(), key=lambda version: [int(part) for part in version.split(".")])[-count:]


def faults(document: dict[str, Any], version: str) -> list[str]:
    api = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", document["apiVersion"])
    return _faults(json.dumps(document, sort_keys=True), version, f"{document['kind'].lower()}-{api}")


@functools.cache
def _faults(document: str, version: str, name: str) -> list[str]:
    found = _validator(version, name).iter_errors(json.loads(document))
    return [f"{version} {name}: {'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


@functools.cache
def _validator(version: str, name: str) -> jsonschema.Draft202012Validator:
    schema = _contents(version, name)
    registry = Resource.from_contents(_contents(version, "_definitions")) @ Registry()
    return jsonschema.Draft202012Validator(schema, registry=registry)


@functools.cache
def _contents(version: str, name: str) -> Any:
    path = f"kubernetes-json-schema/v{version}-local-strict/{name}.json"
    return utils.schema_contents(path, version)
