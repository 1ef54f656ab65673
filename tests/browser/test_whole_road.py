"""The eight real phases on the tiny preset, started, watched, looked at, promoted and talked with, by pages alone.

It takes as long as `make run`. AGENTFORGE_ROAD_HOME names a volume to keep; where that holds the finished run, it
is looked at instead. AGENTFORGE_ROAD_SET fills in fields of the form ("evomerge.generations=5 …"), for a machine
that is busy. The screenshots go to AGENTFORGE_SCREENSHOTS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from agentforge.kit.phase import load_pipeline
from tests.harness import ROOT

from .figures import Drawn, Said, drawn_figures
from .looking import complaints_of
from .pictures import PICTURES
from .serving import serving_all
from .starting import start_by_form

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
RUN, OTHER, MODEL = "road", "other-road", "agent"
MOST_S = 3000.0
PHASES = load_pipeline().names
SPECIALISTS = ("reasoning", "memory_integration", "adaptive_computation")
SHORT = {  # another run, of a minute: its trunk is there to be stopped in
    "cognate.trunk.train.steps": "60", "cognate.trunk.train.checkpoint_every": "5",
    "cognate.trunk.train.threads": "1",  # one is not much slower, and others may be at work
    **{f"cognate.{name}.train.steps": "4" for name in SPECIALISTS},
    **{f"cognate.{name}.train.warmup": "1" for name in SPECIALISTS},
}  # fmt: skip


@dataclass
class Walked:
    """The run, and what was seen of it on the way; nothing of that where it was there already."""

    url: str
    home: Path
    states: dict[str, list[str]] = field(default_factory=dict)  # in the order in which the road showed them
    moved: set[str] = field(default_factory=set)  # phases that showed how far they were
    figures: dict[str, dict[str, Drawn]] = field(default_factory=dict)  # of pages that were open all the time
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def walked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    kept = os.environ.get("AGENTFORGE_ROAD_HOME")
    home = Path(kept).absolute() if kept else tmp_path_factory.mktemp("road") / "home"
    with serving_all(home) as url:
        walked = Walked(url, home)
        if not (home / "runs" / RUN).exists():
            walk(browser, walked)
        run = httpx.get(f"{url}/v1/runs/{RUN}", timeout=30).raise_for_status().json()
        assert run["state"] == "RUN_STATE_SUCCEEDED", run["error"]
        yield walked


def walk(browser: Browser, walked: Walked) -> None:
    """Start it by the form, and keep its page open; and each phase's from when it began to when it ended."""
    page = browser.new_page(base_url=walked.url)
    phase_page = browser.new_page(base_url=walked.url)
    walked.complaints = complaints_of(page)
    fields = dict(one.split("=", 1) for one in os.environ.get("AGENTFORGE_ROAD_SET", "").split())
    start_by_form(page, RUN, fields=fields)
    page.wait_for_url(f"**/runs/{RUN}")
    page.evaluate("window.stayed = true")
    deadline = time.monotonic() + MOST_S
    for phase in PHASES:
        step(page, walked, phase, "running", deadline)
        phase_page.goto(f"/runs/{RUN}/{phase}")
        phase_page.evaluate("window.stayed = true")
        step(page, walked, phase, "succeeded", deadline)
        phase_page.locator("#summary .state.succeeded").wait_for()
        walked.figures[phase] = drawn_figures(phase_page)
        assert phase_page.evaluate("window.stayed"), "the page was loaded anew"
    page.locator("#summary .state.succeeded").wait_for()
    assert page.evaluate("window.stayed"), "the page was loaded anew"


def step(page: Page, walked: Walked, phase: str, state: str, deadline: float) -> None:
    """Look at the road until it shows the phase in this state."""
    while True:
        for name, now, moves in page.evaluate(
            "() => [...document.querySelectorAll('.road > li')].map(each =>"
            " [each.querySelector('a').textContent.trim().split(' ').pop(), each.className,"
            " Boolean(each.querySelector('progress'))])"
        ):
            seen = walked.states.setdefault(name, [])
            seen += [now] if now not in seen[-1:] else []
            walked.moved |= {name} if moves else set()
        if walked.states[phase][-1] == state:
            return
        assert walked.states[phase][-1] not in ("failed", "cancelled"), page.locator("#summary").inner_text()
        assert time.monotonic() < deadline, walked.states
        page.wait_for_timeout(500)


@pytest.fixture
def page(browser: Browser, walked: Walked) -> Iterator[Page]:
    context = browser.new_context(base_url=walked.url)
    context.set_default_timeout(300_000)  # of a busy machine
    page = context.new_page()
    complaints = complaints_of(page)
    yield page
    context.close()
    assert complaints == []


def test_all_eight_phases_were_watched_from_start_to_end(walked: Walked) -> None:
    if not walked.states:
        pytest.skip("the run in AGENTFORGE_ROAD_HOME had been finished before")
    ended = {name: seen[-2:] for name, seen in walked.states.items()}
    assert ended == {name: ["running", "succeeded"] for name in PHASES}
    assert walked.moved == set(PHASES)
    assert walked.complaints == []


@pytest.mark.parametrize("phase", PHASES)
def test_each_phase_has_its_own_pictures_of_what_the_run_wrote_down(page: Page, walked: Walked, phase: str) -> None:
    page.goto(f"/runs/{RUN}")
    page.locator(".road").get_by_role("link", name=phase, exact=True).click()
    page.get_by_role("heading", level=1, name=phase).wait_for()
    figures = drawn_figures(page)
    PICTURES[phase](figures, Said(walked.home, RUN, phase), page)
    if walked.figures:
        assert walked.figures[phase] == figures, "a page that was open shows what a new one shows"


def test_its_model_is_registered_promoted_and_rolled_back(page: Page, walked: Walked) -> None:
    page.goto(f"/runs/{RUN}")
    page.get_by_role("link", name="Register its model").click()
    names = ["1.0.0", "1.1.0"]
    for number, source in enumerate((RUN, f"{RUN}:evomerge/champion")):
        page.goto(f"/models?source={source}")
        page.get_by_label("Name", exact=True).fill(MODEL)
        page.get_by_role("button", name="Register").click()
        page.get_by_role("heading", level=1, name=MODEL).wait_for()
        if number:  # other parameters and another architecture would be a new major number
            names[1] = page.locator("tr.chosen th").inner_text()
    standing = page.locator("#alias-production .hint")
    first = names[0]
    page.get_by_role("textbox", name="Alias", exact=True).fill("production")
    page.locator("form", has=page.get_by_role("textbox", name="Alias", exact=True)).locator(
        "select[name=version]"
    ).select_option(first)
    page.locator("form", has=page.get_by_role("textbox", name="Alias", exact=True)).get_by_role(
        "button", name="Promote"
    ).click()
    standing.get_by_text(f"is at {first}").wait_for()
    again = page.locator("form", has=page.locator("input[name=alias][value=production]"))
    again.filter(has=page.locator("select")).get_by_role("button", name="Promote").click()
    standing.get_by_text(f"is at {names[1]}").wait_for()
    page.get_by_role("button", name="Roll back").click()
    standing.get_by_text(f"is at {first}").wait_for()
    told = httpx.get(f"{walked.url}/v1/models/{MODEL}", timeout=30).raise_for_status().json()
    assert told["aliases"]["production"] == first
    assert page.locator("#version-title").inner_text() == f"{MODEL} {first}"


def test_the_final_model_answers_on_the_page_as_it_does_anywhere(page: Page, walked: Walked) -> None:
    prompts = ["Q: 21 + 34 = A:", "Q: 25 + 17 = A:", "Q: k3 z7 ; z A:"]
    page.goto(f"/models/{MODEL}?version=production")
    page.get_by_role("link", name="Talk with it").click()
    said = page.locator("#said .sample")
    for number, prompt in enumerate(prompts, start=1):
        page.get_by_label("Prompt").fill(prompt)
        page.get_by_role("button", name="Say it").click()
        page.wait_for_function(
            "count => document.querySelectorAll('#said .sample, #said .problem').length == count", arg=number
        )
    assert page.locator("#said .problem").count() == 0, page.locator("#said").inner_text()
    last = len(prompts) - 1  # the newest stands first
    answers = [said.nth(last - n).locator("b").evaluate("each => each.textContent") for n in range(len(prompts))]
    model = next(
        one for one in httpx.get(f"{walked.url}/v1/models/{MODEL}", timeout=30).json()["versions"]
        if one["version"] == "1.0.0"
    )  # fmt: skip
    command = [sys.executable, "-m", "agentforge.cli", "chat", str(walked.home / model["artifact"]["path"])]
    command += ["--json", "--max-new-tokens", "64", *(part for one in prompts for part in ("--prompt", one))]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=True).stdout
    assert answers == [json.loads(line)["text"] for line in told.splitlines()]
    assert all(answer.strip() for answer in answers)


def test_another_run_is_cancelled_and_resumed(page: Page, walked: Walked) -> None:
    run_id = f"{OTHER}-{time.time_ns()}"  # a kept volume may have one
    start_by_form(page, run_id, "cognate", SHORT)
    page.wait_for_url(f"**/runs/{run_id}")
    page.wait_for_function("() => document.querySelector('.road progress')?.value >= 8")
    page.get_by_role("button", name="Cancel").click()
    page.locator("#summary .state.cancelled").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.locator("#summary .state.succeeded").wait_for(timeout=600_000)
    assert "goes on from step" in page.locator("#log").inner_text()
    page.goto(f"/compare?run={RUN}&run={run_id}")
    differ = page.get_by_role("region", name="Fields of the configs that differ")
    row = differ.locator("tr", has_text="cognate.reasoning.train.steps")
    first, other = row.locator("td").all_inner_texts()
    assert other == "4" != first


PAGES = {
    "runs": "/", "start": "/start", "run": f"/runs/{RUN}", "models": "/models", "model": f"/models/{MODEL}",
    "play": f"/play?model={MODEL}:1.0.0", "compare": f"/compare?run={RUN}", "login": "/login",
    "report": f"/runs/{RUN}/report.html", **{phase: f"/runs/{RUN}/{phase}" for phase in PHASES},
}  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_in_both_themes(
    browser: Browser, walked: Walked, screenshots: Path, name: str, theme: str
) -> None:
    context = browser.new_context(base_url=walked.url, color_scheme="dark" if theme == "dark" else "light")
    page = context.new_page()
    complaints = complaints_of(page)
    for width in (400, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(PAGES[name])
        drawn_figures(page)  # they are drawn when they come into sight
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=screenshots / f"road-{name}-{width}-{theme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    context.close()
