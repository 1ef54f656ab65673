"""The playground's page, with a fake of `agentforge chat` behind it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from agentforge_gateway.dash import talk
from tests.unit.registry.making import model

from .looking import HTML, looking, read, shown
from .test_talk import FAKE

JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    command = lambda how: [sys.executable, str(FAKE), str(how.model), str(how.max_new_tokens)]  # noqa: E731
    monkeypatch.setattr(talk.Talkers.__init__, "__defaults__", (None, command))


def test_a_conversation_with_and_without_script(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "echo") as (world, _, client):
            model(world.home / "mine" / "x", "x")
            await client.post("/models", data={"name": "m", "source": "mine/x"})
            page = await shown(client, "/play?model=m:1.0.0")
            assert "/static/play.js" in page.addresses
            assert "m 1.0.0" in page.text
            form: dict[str, Any] = {"model": "m:1.0.0", "prompt": HTML, "max_new_tokens": "8", "temperature": "0"}
            said = await client.post("/play/say", data=form, headers=JSON)
            assert said.status_code == 200, said.text
            assert {"prompt": HTML, "text": f"{HTML}!"}.items() <= said.json().items()
            answer = await client.post("/play/say", data=form)
            assert HTML not in answer.text
            assert f"{HTML}!" in read(answer).text
            by_path = await client.post("/play/say", data=form | {"path": "mine/x"}, headers=JSON)
            assert by_path.status_code == 200

    asyncio.run(story())


def test_what_is_refused(place: Path) -> None:
    async def story() -> None:
        async with looking(place, "echo") as (world, _, client):
            (world.home / "mine").mkdir()
            (world.home / "mine" / "file").write_text("x")
            (world.home / "mine" / "link").symlink_to("/")
            wrong = {
                "": "INVALID_INPUT", "m": "UNKNOWN_MODEL", "../x": "PATH_OUTSIDE_VOLUME", HTML: "",
                "--help": "NAME", "/etc": "PATH_OUTSIDE_VOLUME", "mine/none": "ARTIFACT_NOT_FOUND",
                "mine/file": "ARTIFACT_NOT_FOUND",
                "mine/link/etc": "SYMLINK", "mine/\0": "INVALID_PATH", "a:b:c": "UNKNOWN_MODEL",
            }  # fmt: skip
            for name, reason in wrong.items():
                form = {"model": name, "prompt": "x"}
                told = await client.post("/play/say", data=form, headers=JSON)
                assert 400 <= told.status_code < 500, (name, told.text)
                assert reason in told.json()["reason"], (name, told.text)
                answer = await client.post("/play/say", data=form)
                assert answer.status_code == told.status_code
                assert HTML not in answer.text
                assert reason in read(answer, answer.status_code).text
            model(world.home / "mine" / "x", "x")
            for field, value in (
                ("max_new_tokens", "0"), ("max_new_tokens", "1e9"), ("max_new_tokens", HTML), ("strange", "1"),
                ("temperature", "-1"), ("temperature", "nan"), ("temperature", "inf"),
                ("prompt", ""), ("prompt", "a\nb"), ("prompt", "x" * 40_000),
            ):  # fmt: skip
                form = {"model": "", "path": "mine/x", "prompt": "x", field: value}
                answer = await client.post("/play/say", data=form, headers=JSON)
                assert answer.status_code == 422, (field, value, answer.text)
                assert field in (answer.json()["field"], "strange"), answer.text
                assert (await client.post("/play/say", data=form)).status_code == 422
            failed = await client.post("/play/say", data={"path": "mine/x", "prompt": "no torch"})
            assert "no torch" in read(failed, 409).text
            assert "agentforge chat $AGENTFORGE_HOME/mine/x" in read(failed, 409).text

    asyncio.run(story())
