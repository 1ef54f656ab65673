"""A model from its run into the registry, promoted and rolled back, by its pages alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from .installation import Installation

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_registered_promoted_rolled_back_and_looked_back_at(browser: Browser, forge: Installation) -> None:
    forge.start_run("gave-models")
    assert forge.finished("gave-models")["state"] == "RUN_STATE_SUCCEEDED"
    page = browser.new_page(base_url=forge.url)
    page.set_default_timeout(30_000)
    page.goto("/runs/gave-models")
    page.get_by_role("link", name="Register its model").click()
    page.get_by_label("Name", exact=True).fill("held")
    page.get_by_role("button", name="Register").click()  # the run's page has filled in the source
    page.get_by_role("heading", level=1, name="held").wait_for()
    first = page.locator("tr.chosen th").inner_text()
    page.goto("/models")
    page.get_by_label("Name", exact=True).fill("held")
    page.get_by_label("Source").fill("gave-models:cognate/reasoning")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("heading", level=1, name="held").wait_for()
    second = page.locator("tr.chosen th").inner_text()
    assert first != second

    standing = page.locator("#alias-production .hint")
    page.get_by_role("textbox", name="Alias").fill("production")
    page.locator("select[name=version]").select_option(first)
    page.get_by_role("button", name="Promote").click()
    standing.get_by_text(f"is at {first}").wait_for()
    one_click = page.locator("form", has=page.locator("input[name=alias][value=production]"))
    one_click.filter(has=page.locator("select")).get_by_role("button", name="Promote").click()  # the other one
    standing.get_by_text(f"is at {second}").wait_for()
    page.get_by_role("button", name="Roll back").click()
    standing.get_by_text(f"is at {first}").wait_for()

    page.get_by_text("Log of promotions").click()
    entries = page.get_by_role("region", name="Promotions, newest first").locator("tbody tr")
    moves = [entries.nth(n).locator("td").all_inner_texts()[3:5] for n in range(entries.count())]
    assert moves == [[second, first], [first, second], ["–", first]]
    told = httpx.get(f"{forge.url}/v1/models/held", timeout=30).raise_for_status().json()
    assert told["aliases"]["production"] == first
