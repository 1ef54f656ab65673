"""HTML in every text field of every form: it comes back as the text that it is, or as a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from .installation import Installation

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HTML = "'\"><img src=x onerror=window.bad=1>"
_FIELDS = "input:not([type=hidden]):not([type=checkbox]):not([type=number])"


@pytest.fixture(scope="module")
def spited(forge: Installation) -> Installation:
    """With a model whose words are HTML, too."""
    forge.start_run("spited", cognate={"say": HTML})
    assert forge.finished("spited")["state"] == "RUN_STATE_SUCCEEDED"
    where = f"{forge.url}/v1/models/spited"
    said = {"source": "spited", "description": HTML, "tags": {HTML: HTML}}
    httpx.post(f"{where}:register", json=said, timeout=30).raise_for_status()
    moved = {"alias": "production", "version": "1.0.0", "why": HTML, "by": HTML}
    httpx.post(f"{where}:promote", json=moved, timeout=30).raise_for_status()
    httpx.put(f"{where}/best", json={"measurement": HTML, "higher": True}, timeout=30).raise_for_status()
    return forge


@pytest.mark.parametrize("path", ["/start", "/compare", "/models", "/models/spited", "/play", "/login"])
def test_no_field_makes_html_of_what_is_typed(browser: Browser, spited: Installation, path: str) -> None:
    page = browser.new_page(base_url=spited.url)
    page.set_default_timeout(30_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path)
    for number in reversed(range(page.locator("form").count())):  # some forms go with what they did
        page.goto(path)
        fill_and_send(page, number)
        page.wait_for_load_state()
        assert page.evaluate("window.bad") is None
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("main").inner_text()
    assert wrong == []


@pytest.mark.parametrize(
    "path", ["/runs/spited", "/runs/spited/cognate", "/runs/spited/report.html", "/models/spited"]
)
def test_what_others_wrote_is_text(browser: Browser, spited: Installation, path: str) -> None:
    page = browser.new_page(base_url=spited.url)
    page.goto(path)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.wait_for_timeout(700)  # the stream writes its parts anew
    assert page.evaluate("window.bad") is None
    assert page.locator("img[src=x]").count() == 0
    if "report" not in path:  # it has no log
        assert HTML in page.locator("main").inner_text()


def fill_and_send(page: Page, number: int) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    form = page.locator("form").nth(number)
    form.evaluate("each => each.noValidate = true")
    for field in form.locator(_FIELDS).all():
        field.fill(HTML)
    form.get_by_role("button").first.click()
