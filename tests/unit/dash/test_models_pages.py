"""Models by form: register, promote, roll back; and what strangers wrote into them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.unit.gateway.conftest import finished
from tests.unit.registry.making import model

from .looking import HTML, looking, read, shown


@pytest.fixture(autouse=True)
def small(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_PIPELINE", "tests.unit.dash.small")


async def _move(client: httpx.AsyncClient, verb: str, status: int = 303, **form: str) -> str:
    """The page's words where it is refused; where it leads otherwise."""
    answer = await client.post(f"/models/m/{verb}", data=form)
    assert answer.status_code == status, answer.text[:2000]
    assert HTML not in answer.text
    return answer.headers["location"] if status == 303 else read(answer, status).text


def test_from_a_run_to_an_alias_and_back(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "cognate", "evomerge") as (world, gateway, client):
            await client.post("/v1/runs", json={"run_id": "r"})
            await finished(gateway, "r")
            form = await client.get("/models?source=r:cognate/reasoning")
            assert 'value="r:cognate/reasoning"' in form.text
            assert 'value="r:evomerge/champion"' in form.text
            for source in ("r:cognate/reasoning", "r"):
                answer = await client.post("/models", data={"name": "m", "source": source, "description": HTML})
                assert answer.status_code == 303, answer.text[:2000]
            model(world.home / "mine" / "x", "x")
            answer = await client.post("/models", data={"name": "m", "source": "mine/x"})
            assert answer.headers["location"] == "/models/m?version=2.0.0"
            assert (await client.get("/v1/models/m")).json()["versions"][1]["version"] == "1.1.0"
            listed = await shown(client, "/models")
            assert {"/models/m", "/models/m?version=1.1.0"} <= set(listed.addresses)
            await _names(client)
            await _tags_and_best(client)
            await _promotions(client)

    asyncio.run(story())


async def _names(client: httpx.AsyncClient) -> None:
    page = await shown(client, "/models/m?version=1.1.0")
    assert "evomerge/best_fitness" in page.text
    assert {"/v1/models/m/export?version=1.1.0", "/play?model=m:1.1.0", "/runs/r/evomerge"} <= set(page.addresses)
    picture = next(one for one in page.addresses if "lineage.svg" in one)
    assert (await client.get(picture)).headers["content-type"] == "image/svg+xml"
    assert "memory_integration model cognate, r" in page.text  # the picture's words
    wrong = [("a/b", 422), ("ü", 422), ("a" * 300, 422), (HTML, 422), ("", 422), ("-x", 422)]
    for name, status in wrong:
        answer = await client.post("/models", data={"name": name, "source": HTML})
        again = read(answer, status)
        assert "INVALID_NAME" in again.text
        assert HTML not in answer.text
    for source, reason in (
        ("none", "RUN_NOT_FINISHED"),
        ("../x", "PATH_OUTSIDE_VOLUME"),
        ("mine/none", "NOT_FOUND"),
    ):
        answer = await client.post("/models", data={"name": "m", "source": source})
        assert answer.status_code in (404, 409, 422)
        assert reason in answer.text, answer.text[-3000:]
    assert (await client.get("/models/a/b")).status_code == 404
    assert "UNKNOWN_VERSION" in (await shown(client, "/models/m?version=7.0.0", 404)).text


async def _promotions(client: httpx.AsyncClient) -> None:
    assert await _move(client, "promote", alias="production", version="1.0.0", expected_version="", why=HTML) == (
        "/models/m?version=1.0.0"
    )
    late = await _move(client, "promote", 409, alias="production", version="2.0.0", expected_version="")
    assert "ALIAS_MOVED" in late
    assert "is at 1.0.0" in late  # what is so now stands below
    await _move(client, "promote", alias="production", version="2.0.0", expected_version="1.0.0")
    page = await client.get("/models/m")
    assert HTML not in page.text
    assert HTML in read(page).text
    assert "production → 2.0.0" in (await shown(client, "/models")).text
    assert "ALIAS_MOVED" in await _move(client, "rollback", 409, alias="production", expected_version="1.0.0")
    await _move(client, "rollback", alias="production", expected_version="2.0.0")
    assert (await client.get("/v1/models/m")).json()["aliases"] == {"production": "1.0.0"}
    refused = await _move(client, "rollback", 409, alias="production", expected_version="1.0.0")
    assert "NOTHING_TO_ROLL_BACK" in refused
    for alias, version in (("latest", "1.0.0"), (HTML, "1.0.0"), ("x", HTML), ("", ""), ("x" * 2000, "1.0.0")):
        await _move(client, "promote", 422, alias=alias, version=version)
    assert "UNKNOWN_ALIAS" in await _move(client, "rollback", 404, alias="never")
    assert "at most 1000" in await _move(client, "promote", 422, alias="x", version="1.0.0", why="w" * 1001)
    used = await _move(client, "delete", 409, version="1.0.0", why=HTML)
    assert "VERSION_IN_USE" in used
    assert "production points to it" in used
    assert await _move(client, "delete", version="1.1.0", why=HTML) == "/models/m?version=1.1.0"
    page = await client.get("/models/m?version=1.1.0")
    assert HTML not in page.text
    assert "1.1.0 was deleted" in read(page).text
    assert "VERSION_DELETED" in await _move(client, "delete", 409, version="1.1.0")
    assert "VERSION_DELETED" in await _move(client, "tag", 409, version="1.1.0", tag="a", value="b")
    assert "UNKNOWN_VERSION" in await _move(client, "delete", 404, version="7.0.0")
    await _move(client, "delete", 422, version=HTML)
    assert "at most 1000" in await _move(client, "delete", 422, version="2.0.0", why="w" * 1001)


async def _tags_and_best(client: httpx.AsyncClient) -> None:
    """Before anything is deleted."""
    there = {"version": "1.1.0", "tag": HTML, "value": HTML}
    assert await _move(client, "tag", **there) == "/models/m?version=1.1.0#tags"
    await _move(client, "tag", version="1.1.0", tag="kept", value="")
    read(await client.get("/models/m?version=1.1.0"))
    assert "Remove" not in (await shown(client, "/models/m?version=1.0.0")).text  # another version has no tags
    wrong = await _move(client, "tag", 422, version="1.1.0", tag="", value="b")
    assert "at least 1 character" in wrong
    for fields in ({"tag": "t" * 65}, {"tag": "t", "value": "v" * 257}, {"remove": ""}, {"tag": "a\0"}):
        assert await _move(client, "tag", 422 if "remove" not in fields else 303, version="1.1.0", **fields)
    assert await _move(client, "tag", version="1.1.0", remove=HTML)
    assert (await client.get("/v1/models/m/versions/1.1.0")).json()["tags"] == {"kept": ""}
    by = {"measurement": "evomerge/best_fitness", "higher": "true"}
    assert await _move(client, "best", version="1.0.0", **by) == "/models/m?version=1.0.0#best"
    assert "is at 1.1.0, by the highest evomerge/best_fitness" in (await shown(client, "/models/m")).text
    assert (await client.get("/v1/models/m/versions/best")).json()["version"] == "1.1.0"
    await _move(client, "best", measurement=HTML, higher="false")
    assert "is nowhere: no version has it, by the lowest" in (await shown(client, "/models/m")).text
    for fields in ({"higher": "perhaps"}, {"measurement": ""}, {"measurement": "m" * 257}):
        await _move(client, "best", 422, **(by | fields))
    await _move(client, "best", forget="true")
    assert (await client.get("/v1/models/m")).json()["best"] is None
