"""The one training loop, for every phase.

    training = Training(model, loader, config, name="cognate/trunk")
    training.load(directory)          # to go on from a checkpoint
    training.run(context)

A run that is killed at any step and resumed from its last checkpoint ends with the same bytes as one that was not.
Where several ranks were joined (kit.ranks), each of them runs this loop, and all take the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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
from agentforge.train.guard import Guard, Spoiled
from agentforge.train.machine import device, settled
from agentforge.train.optim import Optimiser
from agentforge.train.parts import Pacing, Part
from agentforge.train.report import Report, Step
from agentforge.train.schedule import rate
from agentforge.train.snapshot import Snapshot

LossOf = Callable[[nn.Module, dict[str, Tensor]], Tensor]

_SAFE = "safe"  # in a checkpoint: where a rewind goes back to
_CURVE_POINTS = 200  # of the loss over all steps, kept with the model


class Batches(Protocol):
    """A data.loader.Loader, or what behaves like one."""

    def __next__(self) -> Batch: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@runtime_checkable
class Remembering(Protocol):
    """Batches with tensors to save besides."""

    def tensors(self) -> dict[str, Tensor]: ...
    def load(self, tensors: Mapping[str, Tensor]) -> None: ...


@runtime_checkable
class Closable(Protocol):
    """Batches that work ahead in a thread."""

    def close(self) -> None: ...


class Saver(Protocol):
    def save(self, step: int, write: Callable[[Path], None]) -> object: ...


class TrainContext(Protocol):
    """What the loop needs of a kit.context.PhaseContext."""

    @property
    def checkpoints(self) -> Saver: ...
    def progress(self, done: int, total: int = 0, unit: str = "steps", message: str = "") -> None: ...
    def measure(self, measurement: Measurement) -> None: ...
    def log(self, message: str, level: str = "info") -> None: ...
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
        pace: Pacing | None = None,  # times the config's schedule
        parts: Mapping[str, Part] | None = None,  # by name
    ) -> None:
        self.model, self.loader, self.config, self.name = model.to(device()), loader, config, name
        self.loss_of, self.evaluate, self.pace = loss_of, evaluate, pace
        self.parts = dict(sorted((parts or {}).items()))
        self.ranks = ranks.current()
        check_share(config.batch, self.ranks)
        self.optimiser = Optimiser(model, config)
        self.grokfast = Grokfast(config.grokfast)
        self.guard = Guard(config.rewind)
        self.step = 0
        self.rewinds = 0
        self._safe: Snapshot | None = None  # where a rewind goes back to
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
        """Train to the end. Where the context says stop, a checkpoint is written first. Batches are closed."""
        try:
            self._run(context)
        finally:
            if isinstance(self.loader, Closable):
                self.loader.close()

    def _run(self, context: TrainContext) -> None:
        report = Report(self.name, self._of_parts)
        self.model.train()
        with settled(self.config):
            self._keep()
            while not self.finished:
                context.check_stop(lambda: self._checkpoint(context))
                try:
                    did = self._one_step()
                except Spoiled as spoiled:
                    self._rewind(spoiled, context)
                    continue
                report.add(did, self.step, context, last=self.finished)
                self._after_step(did.loss, context)
                context.progress(self.step, self.config.steps, message=self._stage)
        if self._best is not None and self.config.patience:
            state.put_tensors(self.model, self._best[2])
        self.model.eval()

    def save(self, directory: Path) -> None:
        """Write all that `load` needs into an empty directory."""
        self._snapshot().write(directory)
        if self._safe is not None:
            (directory / _SAFE).mkdir()
            self._safe.write(directory / _SAFE)

    def load(self, directory: Path) -> None:
        self._restore(Snapshot.read(directory))
        self._safe = Snapshot.read(directory / _SAFE) if self.config.rewind.most else None
        self.ranks.meet()  # the next checkpoint may take the place of this one

    def counters(self) -> dict[str, Any]:
        """All of its state that is no tensor: plain JSON."""
        value, step, _ = self._best or (None, 0, {})
        return {
            "name": self.name, "step": self.step, "loader": self.loader.state_dict(), "curve": list(self.curve),
            "stretch": list(self._stretch), "best": [value, step], "worse": self._worse, "rewinds": self.rewinds,
            "recent": self.guard.recent, "pace": self.pace.state_dict() if self.pace else None,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }  # fmt: skip

    def _snapshot(self) -> Snapshot:
        best = self._best[2] if self._best else {}
        tensors = {
            "model": state.own_tensors(self.model), "optimiser": self.optimiser.tensors(),
            "grokfast": self.grokfast.tensors(), "random": state.random_state(), "best": best,
        }  # fmt: skip
        tensors |= {f"part_{name}": part.tensors() for name, part in self.parts.items()}
        if isinstance(self.loader, Remembering):
            tensors["loader"] = self.loader.tensors()
        return Snapshot(tensors, self.counters())

    def _restore(self, found: Snapshot, *, data: bool = True) -> None:
        """`data` False: batches go on from where they are."""
        tensors, counters = found.tensors, found.counters
        state.put_tensors(self.model, tensors["model"])
        self.optimiser.load(tensors["optimiser"])
        self.grokfast.load(tensors["grokfast"], self._device())
        state.set_random_state(tensors["random"])
        for name, part in self.parts.items():
            part.load(tensors[f"part_{name}"])
            part.load_state_dict(counters["parts"][name])
        if self.pace:
            self.pace.load_state_dict(counters["pace"])
        if data:
            self.loader.load_state_dict(counters["loader"])
            if isinstance(self.loader, Remembering):
                self.loader.load(tensors["loader"])
        self.step, self.curve, self._stretch = counters["step"], list(counters["curve"]), list(counters["stretch"])
        value, step = counters["best"]
        self._best = None if value is None else (value, step, dict(tensors["best"]))
        self._worse, self.rewinds, self.guard.recent = counters["worse"], counters["rewinds"], counters["recent"]

    def _one_step(self) -> Step:
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
        self.guard.check_loss(total)
        add_gradients(self.optimiser.parameters.values(), self.ranks)
        beat = self.pace.at(self.step, self.config.steps) if self.pace else None
        self.grokfast(self.optimiser.gradients(), beat.grokfast if beat else 1.0)
        norm = nn.utils.clip_grad_norm_(self.optimiser.parameters.values(), self.config.clip).item()
        self.guard.check_finite(norm, "norm of the gradient")
        moved = self._move(rate(self.step, self.config) * (beat.rate if beat else 1.0))
        self.step += 1
        return Step(total, norm, tokens, moved * self.config.lr)

    def _move(self, share: float) -> float:
        """By this share of the highest learning rate, which every rewind has lowered: what is left is returned."""
        share *= self.config.rewind.slower**self.rewinds
        for part in self.parts.values():
            part.before_step()
        self.optimiser.step(self.step, share)
        for part in self.parts.values():
            part.after_step(self.step, share)
        self.optimiser.zero()
        return share

    def _after_step(self, loss: float, context: TrainContext) -> None:
        """All that a resumed run would otherwise do again or never: so the checkpoint comes last."""
        self._stretch.append(loss)
        if len(self._stretch) >= self.config.steps / _CURVE_POINTS or self.finished:
            self.curve.append({"step": self.step, "loss": math.fsum(self._stretch) / len(self._stretch)})
            self._stretch = []
        if self.evaluate and self.config.evaluate_every and self.step % self.config.evaluate_every == 0:
            self._evaluate(self.evaluate, context)
        if self.config.rewind.most and self.step % self.config.rewind.every == 0:
            self._keep(again=True)
        if self.config.checkpoint_every and self.step % self.config.checkpoint_every == 0 and not self.finished:
            self._checkpoint(context)

    def _evaluate(self, evaluate: Callable[[], Measurement], context: TrainContext) -> None:
        self.model.eval()
        found = evaluate()
        found = replace(found, value=self.ranks.agree(found.value))  # who stops does so with all others
        self.model.train()
        context.measure(found)
        self.curve.append({"step": self.step, found.name: found.value})
        if self.pace and self.pace.observe(self.step, self.config.steps, found.value):
            context.log(f"{self.name}: the stage ends early, after step {self.step}: the loss stands")
        if self._best is None or found.value < self._best[0]:
            tensors = {name: tensor.clone() for name, tensor in state.own_tensors(self.model).items()}
            self._best, self._worse = (found.value, self.step, tensors if self.config.patience else {}), 0
        else:
            self._worse += 1

    def _checkpoint(self, context: TrainContext) -> None:
        context.checkpoints.save(self.step, self.save)

    def _keep(self, *, again: bool = False) -> None:
        if self.config.rewind.most and (again or self._safe is None):
            self._safe = self._snapshot().copy()

    def _rewind(self, spoiled: Spoiled, context: TrainContext) -> None:
        """Go back, leave out the batches since then, and go on slower; raise where that was done often enough."""
        at, most = self.step + 1, self.config.rewind.most
        if self._safe is None or self.rewinds == most:
            often = f", after {most} rewinds" if most else ""
            message = f"{self.name}: {spoiled} at step {at}{often}"
            step = "Lower train.lr or train.muon_lr, lengthen train.warmup, or use float32."
            raise FailedPrecondition(message, reason="TRAINING_DIVERGED", field="train.lr", next_step=step)
        rewinds = self.rewinds + 1
        self.optimiser.zero()
        self._restore(self._safe, data=False)
        self.rewinds = rewinds
        self._safe = self._snapshot().copy()  # a resume must not find fewer rewinds, nor batches that were left out
        method = f"times that training went back; now {spoiled} at step {at}, back to step {self.step}"
        context.measure(Measurement(f"{self.name}/rewinds", rewinds, "1", method, rewinds, None, self.step))
        context.log(
            f"{self.name}: {spoiled} at step {at}: back to step {self.step}, without its batches", "warning"
        )

    def _of_parts(self, step: int) -> Iterable[Measurement]:
        return (one for part in self.parts.values() for one in part.measurements(step))

    @property
    def _stage(self) -> str:
        """Of the step just taken."""
        return self.pace.at(max(0, self.step - 1), self.config.steps).stage if self.pace else ""

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.config.dtype == "float32":
            return nullcontext()
        return torch.autocast(torch.device(self._device()).type, torch.bfloat16)

    def _device(self) -> str:
        return str(next(self.model.parameters()).device)
