"""Two processes make the same layers ternary, and train them together."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase4_bitnet.config import BitNetConfig
from tests.unit.bitnet.phases import ask
from tests.workers import kill_when, succeed, works_at


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_make_what_one_makes_to_float_tolerance(volume: Path) -> None:
    """Within the warm-up: 1e-8 may be enough to round a weight to another code. Killed while it is judged."""
    gentle = {
        "train": {"optimiser": "adamw"},
        "warmup": 0.9,
        "rounds": 2,
        "bounds": {"nats": 100.0, "accuracy": 1.0},
    }
    alone = ask(volume, "one-rank", "llama", **gentle).go()
    run = ask(volume, "two-ranks", "llama", processes=2, **gentle)
    kill_when(run.run, works_at("test"), timeout_s=600)
    succeed(run.run)
    one, two = (load_file(each.output / "model.safetensors") for each in (alone, run))
    assert one.keys() == two.keys()
    assert 0 < max((one[name].float() - two[name].float()).abs().max().item() for name in one) < 1e-4


def test_rows_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(InvalidInput, match="10 rows cannot be shared out evenly among 4 processes") as caught:
        validate_config(BitNetConfig, {"processes": 4, "train": {"batch": 10}})
    assert (caught.value.reason, caught.value.field) == ("UNEVEN_BATCH", "train.batch")
