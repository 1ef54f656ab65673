"""Pages of a real gateway over HTTP: what they show, and that nothing in them is a stranger's markup."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx

from agentforge_gateway.app import Gateway
from tests.unit.gateway.conftest import finished, spec, until

from .looking import HTML, PAGE, looking, shown
from .markup import checked

PHASES = ("echo", "count", "fail", "leak")


def test_runs_that_ended_in_every_way(place: Path) -> None:
    async def story() -> None:
        async with looking(place, *PHASES) as (_, gateway, client):
            empty = await shown(client, "/")
            assert "Nothing has been run here yet" in empty.text
            runs = gateway.parts.runs
            await runs.start("good", spec(echo={"text": HTML}, count={"n": 3}))
            await runs.start("bad", spec("fail", count={"n": 3}, fail={"mode": "error"}))
            await runs.start("stopped", spec(count={"n": 100_000, "step_s": 0.01}))
            await finished(gateway, "good")
            await finished(gateway, "bad")
            await until(gateway, "stopped", lambda run: run.phase("count").progress is not None)
            page = await shown(client, "/runs/stopped")
            assert "/runs/stopped/cancel" in page.addresses
            assert "/runs/stopped/resume" not in page.addresses
            answer = await client.post("/runs/stopped/cancel")
            assert (answer.status_code, answer.headers["location"]) == (303, "/runs/stopped")
            await finished(gateway, "stopped")
            await _ended(client)
            await _report(gateway, client)

    asyncio.run(story())


async def _ended(client: httpx.AsyncClient) -> None:
    home = await shown(client, "/")
    for run_id, state in (("good", "succeeded"), ("bad", "failed"), ("stopped", "cancelled")):
        assert re.search(rf"{run_id} [✓✕◼] {state}", home.text), home.text
        page = await shown(client, f"/runs/{run_id}")
        assert state in page.text
        assert ("/runs/" + run_id + "/resume" in page.addresses) == (state != "succeeded")
        assert f"/runs/{run_id}/cancel" not in page.addresses
        for phase in ("echo", "count"):
            await shown(client, f"/runs/{run_id}/{phase}")
    bad = await shown(client, "/runs/bad/fail")
    assert "TOO_SMALL layer.0 the tensor is too small Grow it." in bad.text
    echo = await client.get("/runs/good/echo")
    assert HTML not in echo.text
    assert HTML in checked(echo.text).text  # the config and the sample show it as it is
    assert "echo/characters" in checked(echo.text).text
    both = await shown(client, "/compare?run=good&run=bad")
    assert "count/steps 3 1 (1) 3 1 (1) 0" in both.text  # value, unit and n of each; the difference
    assert HTML in both.text
    one = await shown(client, "/compare?run=good")
    assert "/runs/good" in one.addresses
    await shown(client, "/compare")


async def _report(gateway: Gateway, client: httpx.AsyncClient) -> None:
    """One file that loads nothing."""
    answer = await client.get("/runs/good/report.html")
    assert answer.status_code == 200
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert policy[0].startswith("sandbox allow-scripts")
    report = checked(answer.text)
    assert all(one.startswith("#") for one in report.addresses), report.addresses
    assert not any("src" in script for script in report.scripts)
    assert "echo/characters" in report.text
    assert HTML in report.text
    digest = (await gateway.parts.runs.get("good")).phase("count").outputs[0].sha256
    assert digest[:12] in report.text


def test_the_form_starts_a_run_or_says_what_is_wrong(place: Path) -> None:
    async def story() -> None:
        async with looking(place, *PHASES) as (_, gateway, client):
            form = await shown(client, "/start")
            assert form.fields == {"preset": "tiny"}
            assert {"echo.repeat", "count.step_s"} <= set(form.ids)
            wrong = {
                "preset": "tiny",
                "run_id": "r",
                "set.count.n": "0",
                "set.echo.repeat": "[",
                "set.echo.text": HTML,
            }
            answer = await client.post("/start", data=wrong)
            assert answer.status_code == 422
            again = checked(answer.text)
            assert "echo.repeat-wrong" in again.ids  # what cannot be read is told first, by itself
            assert HTML not in answer.text
            answer = await client.post("/start", data=wrong | {"set.echo.repeat": ""})
            assert answer.status_code == 422
            again = checked(answer.text)
            assert "count.n-wrong" in again.ids
            assert 'id="count.n" name="set.count.n" value="0"' in answer.text
            assert (await client.get("/v1/runs/r")).status_code == 404  # nothing was started
            for name, value in (("preset", "none"), ("from_phase", "x"), ("run_id", "../x"), ("run_id", "a" * 65)):
                refused = await client.post("/start", data={"preset": "tiny", name: value})
                assert refused.status_code == 422, (name, value)
                assert 'role="alert"' in refused.text
            good = {"preset": "tiny", "run_id": "r", "until_phase": "count", "set.count.n": "4"}
            answer = await client.post("/start", data=good)
            assert (answer.status_code, answer.headers["location"]) == (303, "/runs/r")
            run = await finished(gateway, "r")
            assert [phase.phase for phase in run.phases] == ["echo", "count"]
            assert next(p for p in run.plan if p.phase == "count").config["n"] == 4
            answer = await client.post("/start", data=good | {"set.count.n": "5"})
            assert answer.status_code == 422  # the id is taken
            assert "ALREADY_EXISTS" in checked(answer.text).text

    asyncio.run(story())


def test_errors_are_pages_for_people_and_json_for_programs(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "echo") as (_, gateway, client):
            await gateway.parts.runs.start("r", spec("echo"))
            await finished(gateway, "r")
            wrong = {
                "/runs/none": (404, "UNKNOWN_RUN"),
                "/runs/none/echo": (404, "UNKNOWN_RUN"),
                "/runs/r/none": (404, "UNKNOWN_PHASE"),
                "/runs/none/report.html": (404, "UNKNOWN_RUN"),
                "/runs/-x": (422, "INVALID"),
                f"/runs/{'a' * 65}": (422, "INVALID"),
                "/nothing": (404, "NOT_FOUND"),
                "/compare?run=none": (404, "UNKNOWN_RUN"),
                "/compare?" + "&".join(f"run=r{i}" for i in range(7)): (422, "INVALID_INPUT"),
                "/models/none": (404, "UNKNOWN_MODEL"),
                "/models/a%3Cb%3E": (422, "INVALID_NAME"),
                "/?page_token=x": (422, ""),
                "/static/../app.py": (404, "NOT_FOUND"),
                "/static/none.js": (404, "NOT_FOUND"),
            }
            for path, (status, reason) in wrong.items():
                page = await shown(client, path, status)
                assert reason in page.text, path
                assert "/" in page.addresses
            for path, (status, reason) in wrong.items():
                told = await client.get(path, headers={"Accept": "application/json"})
                assert told.status_code == status
                assert told.headers["content-type"] == "application/problem+json"
                assert reason in told.json()["reason"]
            assert (await client.get("/v1/runs/none")).headers["content-type"] == "application/problem+json"
            assert (await client.post("/runs/none/cancel")).status_code == 404
            assert (await client.get("/runs/r/cancel", headers=PAGE)).status_code == 404

    asyncio.run(story())
