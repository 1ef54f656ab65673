"""A model from its run into the registry, promoted and rolled back, by its pages alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from .installation import Installation

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
HTML = "<img src=x onerror=alert(1)>"


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


def test_tagged_called_best_and_deleted_with_what_is_refused_beside_its_form(
    browser: Browser, forge: Installation
) -> None:
    forge.start_run("gave-more")
    assert forge.finished("gave-more")["state"] == "RUN_STATE_SUCCEEDED"
    where = f"{forge.url}/v1/models/tended"
    for source in ("gave-more", "gave-more:cognate/reasoning"):
        httpx.post(f"{where}:register", json={"source": source}, timeout=30).raise_for_status()
    first, second = (one["version"] for one in reversed(httpx.get(where, timeout=30).json()["versions"]))
    promoted = {"alias": "production", "version": second}  # which the first descends from
    httpx.post(f"{where}:promote", json=promoted, timeout=30).raise_for_status()
    page = browser.new_page(base_url=forge.url)
    page.set_default_timeout(30_000)
    page.goto(f"/models/tended?version={first}")

    page.get_by_label("Tag", exact=True).fill(HTML)
    page.get_by_label("Value").fill(HTML)
    page.get_by_role("button", name="Set").click()
    page.locator(".tags li", has_text=HTML).wait_for()
    assert page.locator(".tags img").count() == 0
    assert httpx.get(where, timeout=30).json()["versions"][-1]["tags"] == {HTML: HTML}
    page.get_by_role("button", name=f"Remove the tag {HTML}").click()
    page.locator(".tags").wait_for(state="detached")

    page.get_by_role("combobox", name="Measurement").fill("evomerge/best_fitness")
    page.get_by_role("button", name="Say so").click()
    page.locator("#best").get_by_text(f"is at {first}, by the highest").wait_for()
    page.get_by_role("button", name="Forget it").click()
    page.locator("#best").get_by_text("nobody has said").wait_for()

    page.get_by_role("link", name=second, exact=True).click()
    page.get_by_text(f"Delete tended {second}").click()
    page.get_by_label("Why").last.fill(HTML)
    page.get_by_role("button", name=f"Delete {second}").click()
    told = page.locator("section", has=page.locator("#delete")).locator(".problem")
    assert f"tended:{second} is not deleted: " in told.inner_text()
    assert page.get_by_label("Why").last.input_value() == HTML  # nothing typed is lost
    assert page.evaluate("document.activeElement.name") == "why"  # and it is in sight
    page.get_by_role("link", name=first, exact=True).click()
    page.get_by_text(f"Delete tended {first}").click()
    page.get_by_role("button", name=f"Delete {first}").click()
    page.get_by_text(f"{first} was deleted: nothing more is shown of it.").wait_for()
    assert httpx.get(where, timeout=30).json()["versions"][1]["tombstone"]["who"] == "somebody at this gateway"
