"""What a person does with a run: start it, watch it, stop it, go on, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from .installation import Installation
from .starting import start_by_form

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(180)
SLOWLY = "0.04"  # seconds a number: long enough to be seen on the way, and to be cancelled


@pytest.fixture
def page(browser: Browser, installation: Installation) -> Page:
    context = browser.new_context(base_url=installation.url)
    context.set_default_timeout(30_000)
    return context.new_page()


def test_a_run_is_watched_to_its_end_and_each_phase_has_a_page(page: Page, installation: Installation) -> None:
    start_by_form(page, "watched", "count", {"count.step_s": SLOWLY, "count.n": "40"})
    page.wait_for_url("**/runs/watched")
    page.evaluate("window.stayed = true")
    page.locator("progress").wait_for()  # of `count`, on the way
    page.locator("#summary .state.succeeded").wait_for()
    assert page.evaluate("window.stayed"), "the page was loaded anew"
    states = page.locator(".road li")
    assert [states.nth(n).get_attribute("class") for n in range(2)] == ["succeeded", "succeeded"]
    assert states.count() == 2  # until `count`: the others were not asked for
    assert "count succeeded" in page.locator("#log").inner_text()
    for phase, measured in (("echo", "echo/characters"), ("count", "count/steps")):
        page.goto("/runs/watched")
        page.locator(".road").get_by_role("link", name=phase).click()
        page.get_by_role("heading", level=1, name=phase).wait_for()
        row = page.locator("#measured tr", has_text=measured)
        value = {"echo": len("a small text"), "count": 40}[phase]  # 40: the field that was changed in the form
        assert row.locator("td").first.inner_text() == str(value)


def test_a_wrong_value_is_told_beside_its_field(page: Page, installation: Installation) -> None:
    start_by_form(page, "wrong", "count", {"count.n": "0"})
    field = page.locator("[id='count.n']")
    field.and_(page.locator("[aria-invalid='true']")).wait_for()
    assert field.is_visible()
    assert field.input_value() == "0"
    told = page.locator("[id='count.n-wrong']")
    assert "count.n-wrong" in (field.get_attribute("aria-describedby") or "").split()
    assert "1" in told.inner_text()
    assert told.is_visible()
    assert httpx.get(f"{installation.url}/v1/runs/wrong").status_code == 404


def test_cancelled_while_it_counts_then_resumed_then_compared(page: Page, installation: Installation) -> None:
    installation.start_run("plain")
    start_by_form(page, "stopped", "count", {"count.step_s": SLOWLY, "count.n": "60", "count.every": "1"})
    page.locator("progress").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#summary .state.cancelled").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.locator("#summary .state.succeeded").wait_for()
    assert "goes on from step" in page.locator("#log").inner_text()
    assert installation.finished("plain")["state"] == "RUN_STATE_SUCCEEDED"
    page.get_by_role("link", name="Compare", exact=True).last.click()
    page.get_by_label("Another run").fill("plain")
    page.get_by_role("button", name="Add").click()
    asked = page.get_by_role("region", name="Fields of the configs that differ").locator("tr", has_text="count.n")
    assert asked.locator("td").all_inner_texts() == ["60", "30"]
    measured = page.get_by_role("region", name="Measurements").locator("tr", has_text="count/steps")
    assert [text.split()[0] for text in measured.locator("td").all_inner_texts()] == ["60", "30", "-30"]
