"""The one training loop, for every phase.

    training = Training(model, loader, config, name="cognate/trunk")
    training.load(directory)          # to go on from a checkpoint
    training.run(context)

A run that is killed at any step and resumed from its last checkpoint ends with the same bytes as one that was not.
Where several ranks were joined (kit.ranks), each of them runs this loop, and all take the same steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from agentforge.data.loader import Batch
from agentforge.kit import ranks
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.train import state
from agentforge.train.config import TrainConfig
from agentforge.train.distribution import add_gradients, check_share, own_dice, own_share
from agentforge.train.grokfast import Grokfast
from agentforge.train.machine import device, settled
from agentforge.train.optim import Optimiser

LossOf = Callable[[nn.Module, dict[str, Tensor]], Tensor]

_REPORT_S = 1.0  # seconds between events about the loss
_CURVE_POINTS = 200  # of the loss over all steps, kept with the model


class Batches(Protocol):
    """A data.loader.Loader, or what behaves like one."""

    def __next__(self) -> Batch: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Saver(Protocol):
    def save(self, step: int, write: Callable[[Path], None]) -> object: ...


class TrainContext(Protocol):
    """What the loop needs of a kit.context.PhaseContext."""

    @property
    def checkpoints(self) -> Saver: ...
    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None: ...
    def measure(self, measurement: Measurement) -> None: ...
    def check_stop(self, save: Callable[[], None] | None = None) -> None: ...


def model_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """What a Hugging Face causal model says of labels; a model that can leaves out the logits nobody reads."""
    extra = {"logits_to_keep": 1} if getattr(model, "accepts_loss_kwargs", None) is False else {}
    loss: Tensor = model(**batch, **extra).loss
    return loss


class Training:
    def __init__(
        self,
        model: nn.Module,
        loader: Batches,
        config: TrainConfig,
        *,
        name: str = "train",
        loss_of: LossOf = model_loss,  # a mean over the batch's learned tokens
        evaluate: Callable[[], Measurement] | None = None,  # lower is better: a loss on the selection split
    ) -> None:
        self.model, self.loader, self.config, self.name = model.to(device()), loader, config, name
        self.loss_of, self.evaluate = loss_of, evaluate
        self.ranks = ranks.current()
        check_share(config.batch, self.ranks)
        self.optimiser = Optimiser(model, config)
        self.grokfast = Grokfast(config.grokfast)
        self.step = 0
        self.curve: list[dict[str, float]] = []  # the mean loss of each stretch of steps
        self._stretch: list[float] = []
        self._best: tuple[float, int, dict[str, Tensor]] | None = None  # value, step, weights
        self._worse = 0  # evaluations since the best one

    @property
    def finished(self) -> bool:
        return self.step >= self.config.steps or bool(self.config.patience and self._worse >= self.config.patience)

    @property
    def best_step(self) -> int | None:
        """The step that patience goes back to."""
        return self._best[1] if self._best is not None and self.config.patience else None

    def run(self, context: TrainContext) -> None:
        """Train to the end. Where the context says stop, a checkpoint is written first."""
        report = _Report(self.name)
        self.model.train()
        with settled(self.config):
            while not self.finished:
                context.check_stop(lambda: self._checkpoint(context))
                loss, norm, tokens = self._one_step()
                report.add(loss, norm, tokens, self.step, context, last=self.finished)
                self._after_step(loss, context)
                context.progress(self.step, self.config.steps)
        if self._best is not None and self.config.patience:
            state.put_tensors(self.model, self._best[2])
        self.model.eval()

    def save(self, directory: Path) -> None:
        """Write all that `load` needs into an empty directory."""
        state.save_tensors(directory / "model.safetensors", state.own_tensors(self.model))
        state.save_tensors(directory / "optimiser.safetensors", self.optimiser.tensors())
        state.save_tensors(directory / "grokfast.safetensors", self.grokfast.tensors())
        state.save_tensors(directory / "random.safetensors", state.random_state())
        value, step, tensors = self._best or (None, 0, {})
        state.save_tensors(directory / "best.safetensors", tensors)
        counters = {
            "name": self.name, "step": self.step, "loader": self.loader.state_dict(), "curve": self.curve,
            "stretch": self._stretch, "best": [value, step], "worse": self._worse,
        }  # fmt: skip
        state.save_json(directory / "training.json", counters)

    def load(self, directory: Path) -> None:
        counters = state.load_json(directory / "training.json")
        state.put_tensors(self.model, state.load_tensors(directory / "model.safetensors"))
        self.optimiser.load(state.load_tensors(directory / "optimiser.safetensors"))
        self.grokfast.load(state.load_tensors(directory / "grokfast.safetensors"), self._device())
        state.set_random_state(state.load_tensors(directory / "random.safetensors"))
        self.loader.load_state_dict(counters["loader"])
        self.step, self.curve, self._stretch = counters["step"], counters["curve"], counters["stretch"]
        value, step = counters["best"]
        best = state.load_tensors(directory / "best.safetensors")
        self._best = None if value is None else (value, step, best)
        self._worse = counters["worse"]
        self.ranks.meet()  # the next checkpoint may take the place of this one

    def _one_step(self) -> tuple[float, float, int]:
        """(loss, gradient norm, tokens) of one optimiser step."""
        total, tokens = 0.0, 0
        own_dice(self.name, self.step, self.ranks)
        for _ in range(self.config.accumulation):
            batch = next(self.loader)
            share, part = own_share(batch, self.ranks)
            with self._autocast():
                loss = self.loss_of(self.model, share.torch(self._device()))
            (loss * part / self.config.accumulation).backward()  # type: ignore[no-untyped-call]
            total += loss.item() * part / self.config.accumulation
            tokens += int(batch.attention_mask.sum())
        total = self.ranks.add(total)
        self._check_finite(total, "loss")
        add_gradients(self.optimiser.parameters.values(), self.ranks)
        self.grokfast(self.optimiser.gradients())
        norm = nn.utils.clip_grad_norm_(self.optimiser.parameters.values(), self.config.clip).item()
        self._check_finite(norm, "norm of the gradient")
        self.optimiser.step(self.step)
        self.optimiser.zero()
        self.step += 1
        return total, norm, tokens

    def _after_step(self, loss: float, context: TrainContext) -> None:
        """All that a resumed run would otherwise do again or never: so the checkpoint comes last."""
        self._stretch.append(loss)
        if len(self._stretch) >= self.config.steps / _CURVE_POINTS or self.finished:
            self.curve.append({"step": self.step, "loss": math.fsum(self._stretch) / len(self._stretch)})
            self._stretch = []
        if self.evaluate and self.config.evaluate_every and self.step % self.config.evaluate_every == 0:
            self._evaluate(self.evaluate, context)
        if self.config.checkpoint_every and self.step % self.config.checkpoint_every == 0 and not self.finished:
            self._checkpoint(context)

    def _evaluate(self, evaluate: Callable[[], Measurement], context: TrainContext) -> None:
        self.model.eval()
        found = evaluate()
        found = replace(found, value=self.ranks.agree(found.value))  # who stops does so with all others
        self.model.train()
        context.measure(found)
        self.curve.append({"step": self.step, found.name: found.value})
        if self._best is None or found.value < self._best[0]:
            tensors = {name: tensor.clone() for name, tensor in state.own_tensors(self.model).items()}
            self._best, self._worse = (found.value, self.step, tensors if self.config.patience else {}), 0
        else:
            self._worse += 1

    def _checkpoint(self, context: TrainContext) -> None:
        context.checkpoints.save(self.step, self.save)

    def _check_finite(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            message = f"{self.name}: the {what} is {value} at step {self.step + 1}"
            step = "Lower train.lr or train.muon_lr, lengthen train.warmup, or use float32."
            raise FailedPrecondition(message, reason="TRAINING_DIVERGED", field="train.lr", next_step=step)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.config.dtype == "float32":
            return nullcontext()
        return torch.autocast(torch.device(self._device()).type, torch.bfloat16)

    def _device(self) -> str:
        return str(next(self.model.parameters()).device)


class _Report:
    """Events about training, at most one of each kind a second, and always the last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._clear()

    def _clear(self) -> None:
        self._since, self._tokens = time.monotonic(), 0
        self._losses: list[float] = []
        self._norms: list[float] = []

    def add(self, loss: float, norm: float, tokens: int, step: int, context: TrainContext, *, last: bool) -> None:
        self._losses.append(loss)
        self._norms.append(norm)
        self._tokens += tokens
        elapsed = time.monotonic() - self._since
        if elapsed < _REPORT_S and not last:
            return
        n, span = len(self._losses), f"mean over {len(self._losses)} training steps"
        context.measure(Measurement(f"{self.name}/loss", sum(self._losses) / n, "nat", span, n, None, step))
        context.measure(Measurement(f"{self.name}/gradient_norm", sum(self._norms) / n, "1", span, n, None, step))
        speed = self._tokens / max(elapsed, 1e-9)
        method = f"real tokens of {n} training steps by wall clock, events included"
        context.measure(Measurement(f"{self.name}/tokens_per_second", speed, "token/s", method, n, None, step))
        self._clear()
