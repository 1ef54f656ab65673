"""Two processes share the search's candidates and the last training; the first alone packs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.attempts import Attempt
from tests.unit.compression.phases import ask
from tests.workers import kill_when, succeed, works_at


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_find_what_one_finds(volume: Path) -> None:
    """But for the last training, which they share. Killed amid the candidates."""
    alone = ask(volume, "one-rank").go()
    run = ask(volume, "two-ranks", processes=2)
    kill_when(run.run, works_at("search"), timeout_s=600)
    succeed(run.run)
    assert "goes on after" in run.run.log_path.read_text()
    one, two = (front(each) for each in (alone, run))
    assert len(one["candidates"]) == 4
    assert one == two


def front(run: Attempt) -> dict[str, Any]:
    found = run.run.output_path / "compression_report" / "pareto_front.json"
    record: dict[str, Any] = json.loads(found.read_text())
    del record["weights"]  # a tie of the last training may go either way
    return record
