"""Named, counted randomness."""

from __future__ import annotations

import random
import subprocess
import sys

from agentforge.kit.rng import Rng


def test_the_same_name_gives_the_same_numbers_whatever_ran_before() -> None:
    first = Rng(42, "evomerge/mutate", 3, 7)
    expected = (first.seed, first.python().random(), first.numpy().random())
    random.random()
    again = Rng(42, "evomerge/mutate", 3, 7)
    assert (again.seed, again.python().random(), again.numpy().random()) == expected
    assert again.python().random() == expected[1]  # each call begins anew


def test_every_part_of_the_name_counts() -> None:
    rngs = [
        Rng(1, "a"),
        Rng(2, "a"),
        Rng(1, "b"),
        Rng(1, "a", 0),
        Rng(1, "a", 1),
        Rng(1, "a", "1"),
        Rng(1, "a", 1, 1),
        Rng(1, "a", 11),
    ]
    assert len({rng.seed for rng in rngs}) == len(rngs)
    assert len({rng.python().random() for rng in rngs}) == len(rngs)
    assert len({float(rng.numpy().random()) for rng in rngs}) == len(rngs)
    assert all(0 <= rng.seed < 2**63 for rng in rngs)


def test_the_numbers_are_pinned() -> None:
    """A change of them changes every model there is."""
    rng = Rng(42, "evomerge/mutate", 0, 1)
    assert rng.seed == 5191602712754943877
    assert rng.python().getrandbits(32) == 820880895
    assert int(rng.numpy().integers(2**32)) == 315454986


def test_another_process_gets_the_same() -> None:
    code = "from agentforge.kit.rng import Rng; r = Rng(5, 'x', 1); print(r.seed, r.python().random())"
    rng = Rng(5, "x", 1)
    for hash_seed in ("0", "1"):
        out = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        assert out.stdout.split() == [str(rng.seed), repr(rng.python().random())]


def test_torch_generators_are_seeded_by_it() -> None:
    import torch

    rng = Rng(1, "a")
    draws = [torch.rand(3, generator=rng.torch()) for _ in range(2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], torch.rand(3, generator=Rng(1, "b").torch()))
