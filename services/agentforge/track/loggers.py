"""PhaseLogger: one run at W&B, in the seeds' shape. For the sink, and for programs of users' own."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from agentforge.track import mode as modes
from agentforge.track import names, wandb_run

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger("agentforge.track")


def _guarded(
    method: Callable[Concatenate[PhaseLogger, P], R | None],
) -> Callable[Concatenate[PhaseLogger, P], R | None]:
    """Nothing when W&B is off. A W&B that fails is said once, then left alone; `strict` raises instead."""

    @functools.wraps(method)
    def guarded(self: PhaseLogger, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        if self.run is None or self.broken:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            if self.strict:
                raise
            self.broken = f"{type(error).__name__}: {error}"
            _log.warning("W&B gets nothing more from run %s: %s", self.run_id, self.broken)
            return None

    return guarded


class PhaseLogger:
    """One phase of a pipeline at W&B. Whether it can work is checked at once, before your work starts: that raises.

    What goes wrong later is written to the log, and your program goes on; `broken` says what it was.
    """

    def __init__(
        self,
        phase: str,
        config: Mapping[str, Any] | None = None,
        *,
        pipeline_id: str = "",
        run_id: str = "",
        mode: modes.Mode | str = "",
        directory: Path | None = None,
        strict: bool = False,
        on_value: Callable[[str, Any], None] | None = None,
        checked: bool = False,
    ) -> None:
        """`strict`: raise what goes wrong. `checked`: mode.check was called already; it asks the server."""
        self.phase = phase
        self.key = names.phase_key(phase)
        self.mode = modes.decide(str(mode))
        self.run_id = run_id or (f"{pipeline_id}~{names.bare(phase)}" if pipeline_id else "")
        self.strict = strict
        self.broken = ""
        self.run: Any = None
        self._last_step = -1
        self._on_value = on_value
        if not checked:
            modes.check(self.mode)
        if self.mode is not modes.Mode.DISABLED:
            self.run = wandb_run.open_run(
                self.mode,
                run_id=self.run_id or _made_id(),
                name=f"{pipeline_id} {self.key}".strip(),
                group=pipeline_id,
                job_type=self.key,
                config=config or {},
                directory=directory or Path.cwd(),
            )
            for prefix in (names.bare(phase), *names.PREFIXES.get(names.bare(phase), ())):
                self.run.define_metric(f"{prefix}/*", step_metric=f"{names.bare(phase)}/step")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(failed=error is not None)

    @_guarded
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Numbers by name; what is nested is joined by slashes. `step` never goes back."""
        flat = _flat(metrics)
        self._log(flat, step)
        for name, value in flat.items():
            if self._on_value:
                self._on_value(name, value)

    @_guarded
    def log_table(
        self, name: str, columns: Sequence[str], data: Sequence[Sequence[Any]], step: int | None = None
    ) -> None:
        self._log({name: wandb_run.table(list(columns), [list(row) for row in data])}, step)

    @_guarded
    def log_histogram(self, name: str, values: Sequence[float], step: int | None = None) -> None:
        if values:
            self._log({name: wandb_run.histogram(list(values))}, step)

    @_guarded
    def log_summary(self, summary: Mapping[str, Any]) -> None:
        """What the phase came to; a pipeline's logger shows it at the parent, too."""
        for name, value in _flat(summary).items():
            self.run.summary[name] = value
            if self._on_value:
                self._on_value(name, value)

    @_guarded
    def log_artifact(
        self,
        name: str,
        type: str,  # the seeds' name
        path: str | Path,
        metadata: Mapping[str, Any] | None = None,
        aliases: Sequence[str] = ("latest",),
        *,
        sha256: str = "",
        upload: bool = False,
    ) -> None:
        """Where it lies and its digest; its bytes only with `upload`."""
        made = self._artifact(name, type, path, metadata, sha256, upload)
        self.run.log_artifact(made, aliases=list(aliases))

    @_guarded
    def use_artifact(self, artifact_name: str, type: str = "", *, path: str | Path = "", sha256: str = "") -> Any:
        """Say that this run took it. By its name at W&B ("name:latest"), or by `path` and digest. Offline W&B
        can record no lineage: there it is written into the run's config, under `inputs`."""
        if self.mode is modes.Mode.OFFLINE:
            used = [
                *self.run.config.get("inputs", []),
                {"name": artifact_name, "path": str(path), "sha256": sha256},
            ]
            self.run.config.update({"inputs": used}, allow_val_change=True)
            return None
        if not path:
            return self.run.use_artifact(artifact_name, type=type or None)
        return self.run.use_artifact(self._artifact(artifact_name, type, path, None, sha256, upload=False))

    @_guarded
    def watch_model(self, model: Any, log: str = "all", freq: int = 100) -> None:
        """Histograms of gradients and parameters of a torch model that this very program trains."""
        self.run.watch(model, log=log, log_freq=freq)

    @_guarded
    def log_model_summary(self, model: Any) -> None:
        """The seeds' names, counted from the tensors."""
        sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
        trainable = sum(n for n, trains in sizes if trains)
        total = sum(n for n, _ in sizes)
        self.log_summary({"model/total_params": total, "model/trainable_params": trainable})

    @staticmethod
    def get_model_size_mb(model: Any) -> float:
        """Of parameters and buffers, in 10^6 bytes."""
        tensors = [*model.parameters(), *model.buffers()]
        return float(sum(t.numel() * t.element_size() for t in tensors)) / 1e6

    def finish(self, *, failed: bool = False) -> None:
        """Wait until W&B has it all (offline: until it is in the file)."""
        if self.run is not None:
            run, self.run = self.run, None
            run.finish(exit_code=1 if failed else 0)
            if self.strict and self.mode is modes.Mode.OFFLINE:
                wandb_run.check_written(run, self._last_step)

    def _log(self, values: Mapping[str, Any], step: int | None) -> None:
        self.run.log(dict(values), step=step)
        self._last_step = max(self._last_step, -1 if step is None else step)

    def _artifact(
        self, name: str, kind: str, path: str | Path, metadata: Mapping[str, Any] | None, sha256: str, upload: bool
    ) -> Any:
        kept = {**(metadata or {}), "path": str(path)} | ({"sha256": sha256} if sha256 else {})
        place = Path(path) if upload else None
        # W&B tells versions apart by references alone, so the digest is a part of it.
        reference = f"agentforge:{path}" + (f"#sha256={sha256}" if sha256 else "")
        named = names.artifact_name(name)
        return wandb_run.artifact(named, kind or "model", kept, upload=place, reference=reference)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat


def _made_id() -> str:
    import secrets

    return secrets.token_hex(4)
