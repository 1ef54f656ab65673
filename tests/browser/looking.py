"""A page as people see it: how wide it is, what the console says, where the Tab key goes, what axe-core finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary"
_PLACE = """const place = each => each.parentElement
  ? place(each.parentElement) + ` > ${each.localName}:${[...each.parentElement.children].indexOf(each)}` : "";"""
_CONTROLS = f"""() => {{ {_PLACE}
  const all = [...document.querySelectorAll("{_FOCUSABLE}")];
  const shown = all.filter(each => each.checkVisibility() && !each.disabled);
  return shown.map(each => [place(each), each.outerHTML.slice(0, 120)]);
}}"""
_FOCUSED = f"""() => {{ {_PLACE} const style = getComputedStyle(document.activeElement);
  return [place(document.activeElement), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0]; }}"""
_SERIOUS = """() => axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
  .filter(each => ["serious", "critical"].includes(each.impact))
  .map(each => [each.id, each.impact, ...each.nodes.slice(0, 5).map(node => node.html.slice(0, 200))]))"""


def complaints_of(page: Page) -> list[str]:
    """What goes wrong on the page from now on: it grows."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda message: found.append(f"{page.url}: {message.text}") if message.type == "error" else None,
    )
    return found


def wider_than_its_window(page: Page) -> int:
    """By how many pixels, so that one would have to scroll sideways."""
    pixels: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, pixels)


@dataclass(frozen=True)
class Tour:
    """Where the Tab key goes: the controls that it comes to, in order; all, as they stand on the page; and those
    that do not show that they have the focus."""

    reached: list[str]
    controls: list[str]
    unseen: list[str]


def tour_by_tab(page: Page, most: int = 400) -> Tour:
    controls: dict[str, str] = dict(page.evaluate(_CONTROLS))  # by place: a live page writes its parts anew
    reached: list[str] = []
    unseen: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        at, seen = page.evaluate(_FOCUSED)
        if at in controls and at not in reached:
            reached.append(at)
            unseen += [] if seen else [controls[at]]
        if len(reached) == len(controls):
            break
    return Tour([controls[at] for at in reached], list(controls.values()), unseen)


def serious_violations(page: Page, axe: Path) -> list[list[str]]:
    """axe-core's: rule, impact, and the first elements that break it."""
    page.evaluate(axe.read_text())
    found: list[list[str]] = page.evaluate(_SERIOUS)
    return found
