"""One merge of whole directories, from the check of what is asked to the finished directory."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge.kit.config import StrictModel, resolved, validate_config
from agentforge.kit.errors import InvalidInput, NotFound
from agentforge.kit.files import disk_errors, fsync_directory, fsync_tree, usual_modes
from agentforge.phase2_evomerge.methods import method as find_method
from agentforge.phase2_evomerge.methods.base import MergeMethod
from agentforge.phase2_evomerge.streaming.companions import copy_companions, described, write_record
from agentforge.phase2_evomerge.streaming.fit import check_fit
from agentforge.phase2_evomerge.streaming.shards import ModelFiles

Progress = Callable[[int, int], None]
"""Called with bytes written and bytes in all."""


@dataclass(frozen=True)
class MergeRequest:
    method: str
    models: tuple[Path, ...]
    out: Path
    base: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 42
    dtype: str | None = None  # of the merged weights; None: as the models have it
    max_shard_bytes: int = 5_000_000_000


@dataclass(frozen=True)
class MergeReport:
    out: Path
    method: str
    seconds: float
    tensors: int
    bytes: int  # of the weights


@dataclass(frozen=True)
class Plan:
    """A request whose every part was checked; making one writes nothing."""

    method: MergeMethod
    options: StrictModel
    models: tuple[ModelFiles, ...]
    base: ModelFiles | None
    seed: int
    dtype: str
    max_shard_bytes: int

    @property
    def all(self) -> tuple[ModelFiles, ...]:
        return self.models if self.base is None else (*self.models, self.base)


def merge_models(request: MergeRequest, progress: Progress = lambda done, total: None) -> MergeReport:
    """All of it or nothing: --out appears when its last byte is on the disk."""
    began = time.monotonic()
    _check_out(request.out)
    plan = planned(request)
    files = [file for model in plan.all for file in model.files]
    stopping = threading.Event()
    with ThreadPoolExecutor(1, "digest") as background, disk_errors(request.out):
        # Hashing needs no interpreter: it runs beside the import of torch, which comes first in a merge.
        digests = background.submit(_digests, files, stopping)
        target = request.out.absolute()
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
        try:
            tensors, size = _make(plan, partial, progress, digests.result)
            partial.replace(target)  # also onto an empty directory
            fsync_directory(target.parent)
        except BaseException:
            stopping.set()
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return MergeReport(request.out, plan.method.name, time.monotonic() - began, tensors, size)


def planned(request: MergeRequest) -> Plan:
    """Everything that can be told without a weight being read is told here."""
    merging = find_method(request.method)
    options = validate_config(merging.Options, request.options)
    _check_count(merging, request)
    models = tuple(ModelFiles(path) for path in request.models)
    base = ModelFiles(request.base) if request.base is not None and merging.needs_base else None
    checked = check_fit(models if base is None else (*models, base), request.dtype)
    return Plan(merging, options, models, base, request.seed, checked, request.max_shard_bytes)


def _make(
    plan: Plan, directory: Path, progress: Progress, digests: Callable[[], dict[Path, str]]
) -> tuple[int, int]:
    from agentforge.phase2_evomerge.streaming.tensors import write_weights

    tensors, size = write_weights(plan, directory, progress)
    copy_companions(plan.models[0], directory, plan.dtype)
    known = digests()
    write_record(
        directory,
        {
            "method": plan.method.name,
            "options": resolved(plan.options),
            "seed": plan.seed,
            "dtype": plan.dtype,
            "models": [described(model, known) for model in plan.models],
            "base": None if plan.base is None else described(plan.base, known),
            "tensors": tensors,
        },
    )
    usual_modes(directory)
    fsync_tree(directory)
    return tensors, size


def _check_count(merging: MergeMethod, request: MergeRequest) -> None:
    count, least, most = len(request.models), merging.parents_min, merging.parents_max
    if count < least or (most is not None and count > most):
        wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        message = f"{merging.name} merges {wanted} models; {count} were given"
        raise InvalidInput(message, reason="MODEL_COUNT", field="models")
    if merging.needs_base and request.base is None:
        message = f"{merging.name} works on differences from a common base, and none was given"
        step = "Name the model that all were trained from: --base MODEL"
        raise InvalidInput(message, reason="BASE_REQUIRED", field="base", next_step=step)
    if request.base is not None and not merging.needs_base:
        message = f"{merging.name} uses no base, and one was given"
        raise InvalidInput(message, reason="BASE_UNUSED", field="base", next_step="Leave --base out.")


def _check_out(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        message = f"--out {out} is there already"
        raise InvalidInput(message, reason="OUT_EXISTS", field="out", next_step="Name a new directory.")
    if not out.absolute().parent.is_dir():
        message = f"--out {out}: its parent directory does not exist"
        step = f"mkdir -p {out.absolute().parent}"
        raise NotFound(message, reason="OUT_NOT_FOUND", field="out", next_step=step)


def _digests(files: Sequence[Path], stopping: threading.Event) -> dict[Path, str]:
    """SHA-256 of each; given up at once when nobody wants them any more."""
    found = {}
    for file in files:
        digest = hashlib.sha256()
        with file.open("rb") as opened:
            while (block := opened.read(1 << 22)) and not stopping.is_set():
                digest.update(block)
        found[file] = digest.hexdigest()
    return found
