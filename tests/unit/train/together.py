"""One rank of a training, under torchrun or alone: `python -m tests.unit.train.together DIRECTORY JSON`.

JSON holds fields of TrainConfig, and what befalls whom: {"fate": ["kill", 1, 6]}. Each rank leaves its weights and
its curve in the directory.
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


def main(directory: Path, told: dict[str, Any]) -> int:
    if "RANK" in os.environ:
        ranks.join(ranks.of_environment())
    own = ranks.current()
    context = Together(directory / "checkpoints", *told.pop("fate", []))
    loss_of = noisy_loss if told.pop("noisy", False) else model_loss
    settings = TrainConfig(**{"warmup": 2, "batch": 8, "threads": 1, "checkpoint_every": 4, **told})
    titan = model(**PLAIN)

    def evaluate() -> Measurement:
        """Rank 0 sees it getting worse; rank 1 would go on."""
        return Measurement("selection/loss", float(len(context.done)) * (-1) ** own.rank, "nat", "a count", 1)

    one = Training(titan, loader(settings.batch), settings, loss_of=loss_of, evaluate=evaluate)
    checkpoint = context.checkpoints.latest()
    if checkpoint is not None:
        one.load(checkpoint.path)
    print(f"rank {own.rank} of {own.world} begins at step {one.step}", flush=True)
    one.run(context)
    state.save_tensors(directory / f"weights-{own.rank}.safetensors", state.own_tensors(titan))
    (directory / f"curve-{own.rank}.json").write_text(json.dumps([one.step, one.curve]))
    return 0


if __name__ == "__main__":
    try:
        code = main(Path(sys.argv[1]), json.loads(sys.argv[2]))
    except ForgeError as error:
        print(f"{error.reason}: {error}", flush=True)
        code = 3
    except Stopped:
        print(f"rank {ranks.current().rank} stopped", flush=True)
        code = 0
    os._exit(code)
