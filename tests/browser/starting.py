"""A run started as a person starts it: from the list of runs, by the form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def start_by_form(page: Page, run_id: str, until: str = "", fields: Mapping[str, str] | None = None) -> None:
    """Of the preset tiny, to the last phase where none is named. `fields`: "phase.path" to text."""
    page.goto("/")
    page.get_by_role("link", name="Start a run").first.click()
    page.get_by_role("combobox", name="Preset", exact=True).select_option("tiny")
    page.get_by_role("button", name="Take this preset").click()
    page.get_by_role("combobox", name="Until", exact=True).select_option(until)
    page.get_by_role("textbox", name="Id", exact=True).fill(run_id)
    for phase in dict.fromkeys(name.partition(".")[0] for name in fields or {}):
        summary = page.locator("details.phase > summary", has=page.locator("b", has_text=phase))
        summary.click()
    for name, value in (fields or {}).items():
        page.locator(f"[id='{name}']").fill(value)
    page.get_by_role("button", name="Start", exact=True).first.click()
