"""A phase's page that is left open: its figures grow, and are the ones that were there before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .installation import Installation

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
_POINTS = "count => document.querySelector('.figure')?.data?.[0].x.length >= count"


def test_a_figure_grows_in_its_place(browser: Browser, forge: Installation) -> None:
    forge.start_run("grows", evomerge={"generations": 60, "pause_s": 0.1})
    page = browser.new_page(base_url=forge.url)
    page.set_default_timeout(60_000)
    page.goto("/runs/grows/evomerge")
    page.wait_for_function(_POINTS, arg=3)
    page.evaluate("document.querySelector('.figure').marked = true")
    for count in (20, 60):
        page.wait_for_function(_POINTS, arg=count)
    assert page.evaluate("document.querySelector('.figure').marked"), (
        "it was drawn anew, and the old one stays in memory"
    )
    assert page.evaluate("document.querySelectorAll('.js-plotly-plot').length") == 1
    label = page.locator(".figure").get_attribute("aria-label")
    assert label == page.locator("figcaption").inner_text()
    assert "59" in (label or "")
