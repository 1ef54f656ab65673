"""The whole phase by two processes: the first alone makes files and packs, and asks nobody while it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.adas.phases import ask
from tests.workers import succeed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_find_what_one_finds_and_pack_it(volume: Path) -> None:
    alone, run = ask(volume, "one-rank").go(), ask(volume, "two-ranks", processes=2)
    succeed(run.run)
    one, two = (search(each.run.output_path) for each in (alone, run))
    assert len(one["trials"]) == 3
    assert one["trials"] == two["trials"]
    assert one["chosen"] == two["chosen"]


def search(output: Path) -> dict[str, list[object]]:
    [found] = output.rglob("front.json")
    record: dict[str, list[object]] = json.loads(found.read_text())
    return record
