"""One rank of several trainings, one after another, under torchrun: `python -m tests.unit.train.together JSON`.

JSON lists [directory, fields of TrainConfig and what befalls whom: {"fate": ["kill", 1, 6]}]. Each rank leaves its
weights and its curve in the directory.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.kit import ranks
from agentforge.kit.errors import ForgeError
from agentforge.kit.measure import Measurement
from agentforge.train import state
from agentforge.train.config import TrainConfig
from agentforge.train.distribution import add_gradients
from agentforge.train.loop import Training, model_loss
from tests.unit.train.helpers import PLAIN, Context, loader, model


class Stopped(BaseException):
    """A context that was asked to stop says so."""


class Together(Context):
    """Rank `who` meets its fate before step `at` + 1: it is killed, or it alone hears the request to stop."""

    def __init__(self, directory: Path, fate: str = "", who: int = 1, at: int = -1) -> None:
        super().__init__(directory)
        self.fate, self.hit = fate, (who, at)

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        own, here = ranks.current(), len(self.done)
        if self.fate == "kill" and self.hit == (own.rank, here):
            os.kill(os.getpid(), signal.SIGKILL)
        if own.agree(self.fate == "stop" and self.hit == (own.rank, here)):
            if save is not None:
                save()
            raise Stopped


def noisy_loss(titan: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """As with dropout: the gradient hangs on the dice."""
    return model_loss(titan, batch) * (1 + 0.1 * torch.rand(()))


def train(directory: Path, told: dict[str, Any]) -> None:
    """By all ranks; by this process alone where it has joined nobody."""
    own, told = ranks.current(), dict(told)
    context = Together(directory / "checkpoints", *told.pop("fate", []))
    loss_of = noisy_loss if told.pop("noisy", False) else model_loss
    settings = TrainConfig(**{"steps": 20, "warmup": 2, "batch": 8, "threads": 1, "checkpoint_every": 4, **told})
    titan = model(**PLAIN)

    def evaluate() -> Measurement:
        """Rank 0 sees it getting worse; rank 1 would go on."""
        return Measurement("selection/loss", float(len(context.done)) * (-1) ** own.rank, "nat", "a count", 1)

    one = Training(titan, loader(settings.batch), settings, loss_of=loss_of, evaluate=evaluate)
    checkpoint = context.checkpoints.latest()
    if checkpoint is not None:
        one.load(checkpoint.path)
    print(f"{directory.name}: rank {own.rank} of {own.world} begins at step {one.step}", flush=True)
    one.run(context)
    state.save_tensors(directory / f"weights-{own.rank}.safetensors", state.own_tensors(titan))
    (directory / f"curve-{own.rank}.json").write_text(json.dumps([one.step, one.curve]))


def add_up(directory: Path) -> None:
    """Gradients that nobody, one rank and both have; a value of each rank, shared and added."""
    own = ranks.current()
    of_nobody, of_one, of_both = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(3))
    if own.rank == 1:
        of_one.grad = torch.full((2, 3), 5.0)
    of_both.grad = torch.full((2, 3), 10.0 + own.rank)
    add_gradients([of_nobody, of_one, of_both], own)
    found = [each.grad if each.grad is None else each.grad.tolist() for each in (of_nobody, of_one, of_both)]
    told = [found, own.share({"rank": own.rank}), own.add(own.rank + 1)]
    (directory / f"added-{own.rank}.json").write_text(json.dumps(told))


def meet(directory: Path, told: dict[str, Any]) -> int:
    """An exit code; what ends a training is told, and the next one begins if all ranks are still here."""
    directory.mkdir(exist_ok=True)
    try:
        train(directory, told)
    except ForgeError as error:
        print(f"{directory.name}: {error.reason}: {error}", flush=True)
        return 3 if error.reason == ranks.RANK_LOST else 0
    except Stopped:
        print(f"{directory.name}: rank {ranks.current().rank} stopped", flush=True)
    return 0


def main(trainings: list[tuple[str, dict[str, Any]]]) -> int:
    ranks.join(ranks.of_environment())
    for directory, told in trainings:
        if code := meet(Path(directory), told):
            return code
    add_up(Path(trainings[-1][0]))
    return 0


if __name__ == "__main__":
    # torchrun ends the others when it sees that one was killed, maybe before this one has seen it: deaf to that, it
    # says what it saw. torchrun kills it after 30 s if it does not end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os._exit(main(json.loads(sys.argv[1])))
