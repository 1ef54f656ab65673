"""Any task of lm-eval, by lm-eval's own harness and its Hugging Face backend (the extra [lm-eval])."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import InvalidInput, MissingTool, RunFailed

if TYPE_CHECKING:
    from agentforge.train.loading import LoadedModel

_EXTRA = frozenset({"lm_eval", "accelerate", "peft", "torch", "transformers"})
_NETWORK = (
    "Task data come from the network unless the task says otherwise; --lm-eval-path DIR holds tasks of yours."
)


class Harness:
    """Names are checked at once, before a model is loaded; `include` is a directory of task files (YAML)."""

    def __init__(self, tasks: Sequence[str], include: Path | None = None) -> None:
        try:
            import lm_eval
            from lm_eval.models.huggingface import HFLM
            from lm_eval.tasks import TaskManager
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _EXTRA:
                raise
            message = f"--lm-eval needs the package {package!r}, which is not installed"
            step = "Install it: pip install 'agentforge[lm-eval]'."
            raise MissingTool(message, field=package, next_step=step) from error
        self.tasks, self.version = list(tasks), lm_eval.__version__
        self._evaluate, self._backend = lm_eval.simple_evaluate, HFLM
        self._manager = TaskManager(include_path=None if include is None else str(include))
        for task in self.tasks:
            if not self._manager.match_tasks([task]):
                message = f"lm-eval {self.version} has no task {task!r}"
                raise InvalidInput(message, reason="UNKNOWN_TASK", field=task, next_step=_NETWORK)

    def run(self, loaded: LoadedModel) -> dict[str, Any]:
        """{"version", "tasks": {task: {metric: value, …, "n": documents, "shots": examples given}}}."""
        model = self._backend(
            pretrained=loaded.model, tokenizer=loaded.tokenizer, max_length=loaded.context, batch_size=8
        )
        try:
            found = self._evaluate(model=model, tasks=self.tasks, task_manager=self._manager, log_samples=False)
        except (OSError, ValueError) as error:
            message = f"lm-eval could not run {', '.join(self.tasks)}: {' '.join(str(error).split())[:500]}"
            raise RunFailed(message, reason="TASK_FAILED", field="lm-eval", next_step=_NETWORK) from error
        assert found is not None  # None is for ranks other than the first
        tasks = {}
        for task, metrics in found["results"].items():
            numbers = {k: v for k, v in metrics.items() if isinstance(v, float) and math.isfinite(v)}
            n = found["n-samples"].get(task, {}).get("effective")  # a group of tasks has none
            tasks[task] = {**numbers, "n": n, "shots": found["n-shot"].get(task)}
        return {"version": self.version, "tasks": tasks}
