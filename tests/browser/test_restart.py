"""A page that is left open while its gateway dies and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .installation import Installation

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_an_open_page_goes_on_by_itself_after_its_gateway_was_killed(browser: Browser, tmp_path: Path) -> None:
    with Installation(tmp_path) as installation:  # of its own: nobody else's gateway is killed
        installation.start_run("outlives", count={"n": 400, "step_s": 0.05})
        page = browser.new_page(base_url=installation.url)
        page.set_default_timeout(60_000)
        page.goto("/runs/outlives")
        page.evaluate("window.stayed = true")
        progress = page.locator("progress")
        progress.wait_for()
        notice = page.locator("#connection")
        assert notice.is_hidden()
        installation.gateway.kill()
        notice.wait_for(state="visible")
        before = float(progress.get_attribute("value") or 0)
        installation.gateway.start()
        notice.wait_for(state="hidden")
        page.wait_for_function("value => document.querySelector('progress')?.value > value", arg=before)
        page.locator("#summary .state.succeeded").wait_for()
        assert "count succeeded" in page.locator("#log").inner_text()
        assert page.evaluate("window.stayed"), "the page was loaded anew"
        assert notice.is_hidden()
        said = page.locator("#log p").all_inner_texts()
        assert len(said) == len(set(said)), said  # no line came twice
