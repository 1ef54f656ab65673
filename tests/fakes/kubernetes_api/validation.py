"""Is it a Job that API servers of the four newest minors take?"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it brings no types

Object = dict[str, Any]


@functools.cache
def minors() -> tuple[str, ...]:
    root = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    found = sorted(
        {int(m[1]) for each in root.iterdir() if (m := re.fullmatch(r"v1\.(\d+)\.\d+-local", each.name))}
    )
    return tuple(f"1.{minor}" for minor in found[-4:])


def causes(job: Object) -> list[tuple[str, str]]:
    return list(_causes(json.dumps(job, sort_keys=True)))


@functools.lru_cache(maxsize=256)
def _causes(text: str) -> tuple[tuple[str, str], ...]:
    job = json.loads(text)
    wrong = []
    for minor in minors():
        try:
            kubernetes_validate.validate(job, minor, strict=True)
        except kubernetes_validate.ValidationError as error:
            wrong.append((".".join(str(part) for part in error.path), f"{error.message} ({minor})"))
    name = job["metadata"].get("name", "")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        wrong.append(("metadata.name", f"{name!r} is no DNS label"))
    for key, value in (job["metadata"].get("labels") or {}).items():
        if not re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", value):
            wrong.append((f"metadata.labels.{key}", f"{value!r} is no label value"))
    return tuple(wrong)
