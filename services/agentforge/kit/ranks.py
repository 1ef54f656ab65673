"""The processes that work on one run together: which of them this one is, and what they tell each other.

Every rank runs the same code in the same order; only rank 0, which leads, writes anything. torch.distributed
carries the words (gloo what lies on the CPU, nccl what lies on GPUs); it is imported where there are several ranks.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import InvalidInput, RunFailed

if TYPE_CHECKING:
    from torch import Tensor

RANK_LOST = "RANK_LOST"
_SILENCE = timedelta(minutes=30)  # longer than a checkpoint or an evaluation that others wait for


@dataclass(frozen=True, slots=True)
class Ranks:
    """What is asked here must be asked by every rank, in the same order: each waits for all."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1  # of this machine: they share its cores and GPUs

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def agree(self, value: float) -> float:
        """What rank 0 says."""
        if self.world == 1:
            return value
        import torch

        said = torch.tensor(value, dtype=torch.float64)
        with self._others():
            torch.distributed.broadcast(said, 0)
        return said.item()

    def share(self, value: Any) -> Any:
        """Rank 0's value, which is plain JSON."""
        if self.world == 1:
            return value
        import torch

        text = json.dumps(value).encode()
        said = torch.zeros(int(self.agree(len(text))), dtype=torch.uint8)
        if self.leads:
            said = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        with self._others():
            torch.distributed.broadcast(said, 0)
        return json.loads(bytes(said.tolist()))

    def add(self, value: float) -> float:
        """The sum over all ranks, in double precision."""
        if self.world == 1:
            return value
        import torch

        return self.add_up(torch.tensor(value, dtype=torch.float64)).item()

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place; the same bytes on each of them."""
        if self.world > 1:
            import torch

            with self._others():
                torch.distributed.all_reduce(tensor)
        return tensor

    def meet(self) -> None:
        """Nobody goes on before all are here."""
        self.add(0.0)

    def _others(self) -> contextlib.AbstractContextManager[None]:
        return losses_of(self)


@contextlib.contextmanager
def losses_of(own: Ranks) -> Iterator[None]:
    """What torch says inside of it is the echo of another rank's end."""
    try:
        yield
    except RuntimeError as error:
        message = f"rank {own.rank} of {own.world} lost another rank: {' '.join(str(error).split())[:300]}"
        step = "See worker.log for how it ended; a retry goes on from the last checkpoint."
        raise RunFailed(message, reason=RANK_LOST, next_step=step) from error


_own = Ranks()


def current() -> Ranks:
    """Alone, until `join` was called."""
    return _own


def of_environment(environment: Mapping[str, str] = os.environ) -> Ranks:
    """As torchrun says it."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if not all(name in environment for name in names):
        return Ranks()
    return Ranks(*(int(environment[name]) for name in names))


def leader_goes_on() -> bool:
    """The rest of the run is for rank 0 alone, which asks nobody any more; all others are told False, and are done.

    To be called by all of them, at the same place: what is asked of ranks that are gone would look like a loss.
    """
    global _own
    leads = _own.leads
    _own = Ranks(_own.rank)
    return leads


def join(own: Ranks, meeting: Path | Any | None = None) -> Ranks:
    """Meet the others: by a file that nobody has made before, by a store, or where torchrun's environment says."""
    global _own
    import torch

    backend = "gloo"
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        if own.local_world > count:
            message = f"{own.local_world} processes of this machine need a GPU each; it has {count}"
            raise InvalidInput(message, reason="TOO_FEW_GPUS", field="processes", next_step=f"Set it to {count}.")
        torch.cuda.set_device(own.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    dist: Any = torch.distributed
    with own._others():
        store = dist.FileStore(str(meeting), own.world) if isinstance(meeting, Path) else meeting
        dist.init_process_group(backend, store=store, rank=own.rank, world_size=own.world, timeout=_SILENCE)
    _own = own
    return own
