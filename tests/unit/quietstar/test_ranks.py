"""Two processes think about the same rows as one, and train to the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.kit.ranks import Ranks
from agentforge.phase3_quietstar.config import QuietStarConfig
from agentforge.phase3_quietstar.sharing import Counts
from tests.unit.quietstar.phases import ask
from tests.workers import kill_when, succeed, works_at


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_make_what_one_makes_to_float_tolerance(volume: Path) -> None:
    """Of AdamW alone: what Muon makes of a difference of 1e-8 is larger. All four trainings; killed in the last."""
    plain = {name: {"optimiser": "adamw"} for name in ("worked", "thinking")}
    alone = ask(volume, "one-rank", "llama", keep="thinking", **plain).go()
    run = ask(volume, "two-ranks", "llama", keep="thinking", processes=2, **plain)
    kill_when(run.run, works_at("thinking"), timeout_s=600)
    succeed(run.run)
    one, two = (load_file(each.output / "model.safetensors") for each in (alone, run))
    assert one.keys() == two.keys()
    assert 0 < max((one[name] - two[name]).abs().max().item() for name in one) < 1e-4


def test_losses_of_parts_add_up_to_that_of_the_whole() -> None:
    """Three rows with 6, 2 and 1 learned tokens; means over what is served and kept, as one rank has them."""
    labels = torch.tensor([[0, 1, 1, 1, 1, 1, 1], [0, 1, 1, *[-100] * 4], [0, 1, *[-100] * 5]])
    places = torch.tensor([[2, 5], [1, -1], [1, 2]])
    there = torch.tensor([[[1, 1], [1, 0]], [[1, 1], [0, 0]], [[1, 1], [1, 1]]]).bool()
    kept = torch.tensor([[[1, 1], [1, 0]], [[1, 0], [0, 0]], [[0, 0], [1, 1]]]).bool()
    value = torch.arange(12.0).view(3, 2, 2)

    def counted(rows: slice) -> Counts:
        return Counts.of(labels[rows], places[rows], there[rows], kept[rows], Ranks())

    def losses(rows: slice) -> dict[str, torch.Tensor]:
        tokens = there[rows].sum(-1)[..., None] * kept[rows]
        return {
            "ahead": (value[rows] * tokens).sum() / tokens.sum(),
            "reinforce": (value[rows] * kept[rows]).sum() / kept[rows].sum(),
        }

    whole, every = losses(slice(None)), counted(slice(None))
    assert every.weighed(whole) is whole
    total = dict.fromkeys(whole, 0.0)
    for rows in (slice(0, 1), slice(1, 3)):
        own = counted(rows)
        own = Counts(own.learned, own.served, own.kept, own.places, every)
        part = own.learned / every.learned  # what the loop weighs by
        for name, loss in own.weighed(losses(rows)).items():
            total[name] += float(loss) * part
    assert total == pytest.approx({name: float(loss) for name, loss in whole.items()}, rel=1e-6)


@pytest.mark.parametrize("stage", ["worked", "thinking"])
def test_rows_that_cannot_be_shared_out_are_refused(stage: str) -> None:
    with pytest.raises(InvalidInput, match="10 rows cannot be shared out evenly among 4 processes") as caught:
        validate_config(QuietStarConfig, {"processes": 4, stage: {"batch": 10}})
    assert (caught.value.reason, caught.value.field) == ("UNEVEN_BATCH", f"{stage}.batch")
