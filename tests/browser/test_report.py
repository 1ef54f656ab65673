"""report.html: a file that is opened years later, without any network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from .installation import Installation

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.timeout(180)


@pytest.mark.slow
def test_it_opens_from_a_file_draws_its_figures_and_asks_nobody(
    browser: Browser, forge: Installation, tmp_path: Path
) -> None:
    forge.start_run("told", evomerge={"generations": 5})
    assert forge.finished("told")["state"] == "RUN_STATE_SUCCEEDED"
    place = tmp_path / "report.html"
    place.write_bytes(httpx.get(f"{forge.url}/runs/told/report.html", timeout=60).raise_for_status().content)
    asked: list[str] = []
    wrong: list[str] = []
    page = browser.new_context(offline=True).new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(place.as_uri())
    page.get_by_role("heading", level=1, name="told").wait_for()
    assert "evomerge/best_fitness" in page.locator("main").inner_text()
    figures = page.locator(".figure")
    assert figures.count() > 0
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        figures.nth(number).locator("svg .trace path").first.wait_for(state="attached")  # Plotly has drawn it
    assert asked == [place.as_uri()]
    assert wrong == []
