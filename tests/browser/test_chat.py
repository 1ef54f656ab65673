"""A conversation in the playground with a model of a few thousand weights, by a process of the real chat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests import pico
from tests.harness import ROOT

from .looking import complaints_of
from .serving import serving_all

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("chat") / "home"
    pico.save(pico.titan(seed=3), home / "mine" / "small")
    return home


@pytest.fixture(scope="module")
def page(browser: Browser, place: Path) -> Iterator[Page]:
    with serving_all(place, "tests.unit.dash.small") as url:
        where = f"{url}/v1/models/small:register"
        httpx.post(where, json={"source": "mine/small"}, timeout=30).raise_for_status()
        context = browser.new_context(base_url=url)
        context.set_default_timeout(90_000)  # the first answer waits for torch
        yield context.new_page()
        context.close()


def say(page: Page, prompt: str) -> None:
    before = page.locator("#said > div").count()
    page.get_by_label("Prompt").fill(prompt)
    page.keyboard.press("Enter")
    page.wait_for_function("count => document.querySelectorAll('#said > div').length > count", arg=before)
    page.get_by_role("button", name="Say it").wait_for()


def test_a_model_of_the_registry_says_what_the_command_says(page: Page, place: Path) -> None:
    complaints = complaints_of(page)
    page.goto("/models/small")
    page.get_by_role("link", name="Talk with it").click()
    page.get_by_label("Longest answer").fill("12")
    prompts = ["Q: 1 + 2 = A:", HTML]
    for prompt in prompts:
        say(page, prompt)
        assert page.evaluate("document.activeElement.name") == "prompt"  # ready for the next one
        assert page.get_by_label("Prompt").input_value() == ""
    # The newest stands first.
    shown = page.locator("#said .sample")
    assert [shown.nth(1 - n).locator(".hint").first.inner_text() for n in range(2)] == prompts
    version = httpx.get(page.url.partition("/play")[0] + "/v1/models/small", timeout=30).json()["versions"][0]
    command = [sys.executable, "-m", "agentforge.cli", "chat", str(place / version["artifact"]["path"]), "--json"]
    command += ["--max-new-tokens", "12", *(part for one in prompts for part in ("--prompt", one))]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=True).stdout
    answers = [json.loads(line)["text"] for line in told.splitlines()]
    assert [shown.nth(1 - n).locator("b").evaluate("each => each.textContent") for n in range(2)] == answers
    assert page.locator("#said img").count() == 0
    assert complaints == []


def test_what_cannot_be_answered_is_said_and_the_next_prompt_is_answered(page: Page) -> None:
    page.goto("/play")
    say(page, "nobody is asked")
    assert "no model is chosen" in page.locator("#said .problem").first.inner_text()
    assert page.get_by_label("Prompt").input_value() == "nobody is asked"  # nothing typed is lost
    page.get_by_label("or a path on the volume").fill("mine/none")
    say(page, "x")
    assert "ARTIFACT_NOT_FOUND" in page.locator("#said .problem").first.inner_text()
    page.get_by_label("or a path on the volume").fill("mine/small")
    page.get_by_label("Longest answer").fill("4")
    say(page, "x")
    assert page.locator("#said .sample").count() == 1
