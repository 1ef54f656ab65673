"""Runs through the gateway's REST, asked for as a user would, whoever is killed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.compose.short import overrides
from tests.compose.stack import FINAL, Stack
from tests.contract.kills import TIMED

Run = dict[str, Any]


def start(stack: Stack, run_id: str) -> None:
    body = {"run_id": run_id, "preset": "tiny", "config": overrides(), "no_reuse": True}
    answer = stack.client.post("/v1/runs", json=body)
    assert answer.status_code == 201, answer.text


def get(stack: Stack, run_id: str) -> Run | None:
    """None while the gateway is away."""
    try:
        answer = stack.client.get(f"/v1/runs/{run_id}")
    except httpx.TransportError:
        return None
    assert answer.status_code in (200, 503), answer.text
    run: Run = answer.json()
    return run if answer.status_code == 200 else None


def until(stack: Stack, run_id: str, condition: Callable[[Run], bool], timeout_s: float = 5400) -> Run:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        run = get(stack, run_id)
        if run is not None and condition(run):
            return run
        if run is not None and run["state"] in FINAL:
            raise AssertionError(f"ended too soon: {told(run)}\n{stack.log('gateway')}")
        time.sleep(0.2)
    raise AssertionError(f"{run_id} takes too long: {told(run) if run else 'the gateway is away'}")


def finish(stack: Stack, run_id: str) -> Run:
    run = until(stack, run_id, lambda run: run["state"] in FINAL)
    assert run["state"] == "RUN_STATE_SUCCEEDED", told(run)
    return run


def phase(run: Run, name: str) -> Run:
    found: Run = next(each for each in run["phases"] if each["phase"] == name)
    return found


def mid_phase(name: str, share: float) -> Callable[[Run], bool]:
    """Its worker has done this share of its work, by what it reports."""

    def condition(run: Run) -> bool:
        now = phase(run, name)
        done, total = (now["progress"] or {}).get("done", 0), (now["progress"] or {}).get("total", 0)
        return bool(now["state"] == "RUN_STATE_RUNNING" and 0 < share * total <= done < total)

    return condition


def digests(run: Run) -> dict[str, dict[str, str]]:
    """By phase and output; without reports, which hold times."""
    return {
        each["phase"]: {output["name"]: output["sha256"] for output in each["outputs"] if output["kind"] != TIMED}
        for each in run["phases"]
    }


def told(run: Run) -> str:
    lines = [f"{each['phase']}: {each['state']} {each['progress']} {each['error'] or ''}" for each in run["phases"]]
    return "\n".join([f"{run['run_id']}: {run['state']} {run['error'] or ''}", *lines])
