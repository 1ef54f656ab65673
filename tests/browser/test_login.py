"""The way in and out of a gateway with tokens, and what a page says to whoever may not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .looking import complaints_of
from .serving import serving_all

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(180)
ROOT_TOKEN = "r00t-of-a-test"
HTML = "<b onmouseover=alert(1)>x</b>"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that asks for tokens."""
    home = tmp_path_factory.mktemp("closed") / "home"
    with serving_all(home, "tests.unit.dash.small", AGENTFORGE_TOKEN=ROOT_TOKEN) as url:
        yield url


@pytest.fixture
def page(browser: Browser, closed: str) -> Iterator[Page]:
    context = browser.new_context(base_url=closed)
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


def ask(url: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    headers = {"Authorization": f"Bearer {ROOT_TOKEN}"}
    return httpx.request(method, url + path, json=body, headers=headers, timeout=30).raise_for_status().json()


def made(url: str, name: str, *scopes: str, **more: int) -> dict[str, Any]:
    token: dict[str, Any] = ask(url, "POST", "/v1/tokens", {"name": name, "scopes": list(scopes), **more})
    return token


def log_in(page: Page, secret: str) -> None:
    page.get_by_label("Token").fill(secret)
    page.get_by_role("button", name="Log in").click()


def test_what_does_not_open_is_told_and_the_page_that_was_wanted_comes_after_what_does(
    page: Page, closed: str
) -> None:
    short = made(closed, "short", "read", expires_in_s=1)
    gone = made(closed, "gone", "read")
    ask(closed, "DELETE", f"/v1/tokens/{gone['token_id']}")
    time.sleep(1.1)
    page.goto("/models")
    assert page.url.endswith("/login?next=/models")
    assert page.evaluate("document.activeElement.id") == "token"
    told = {
        "wrong": "The bearer token is wrong.", HTML: "The bearer token is wrong.",
        short["secret"]: "The bearer token has expired.", gone["secret"]: "The bearer token was revoked.",
    }  # fmt: skip
    for secret, words in told.items():
        log_in(page, secret)
        assert page.get_by_role("alert").inner_text() == words
        assert page.get_by_label("Token").input_value() == ""
        assert page.context.cookies() == []
    log_in(page, ROOT_TOKEN)
    page.get_by_role("heading", level=1, name="Models").wait_for()
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] in ("Lax", "Strict")
    assert ROOT_TOKEN not in cookie["value"]


def test_a_reader_sees_all_and_is_told_what_else_it_would_need(page: Page, closed: str) -> None:
    reader = made(closed, HTML, "read")
    page.goto("/")
    log_in(page, reader["secret"])
    page.get_by_role("link", name="Start a run").first.click()
    page.get_by_role("textbox", name="Id", exact=True).fill("not-mine")
    page.get_by_role("button", name="Start", exact=True).first.click()
    problem = page.locator(".problem")
    assert "SCOPE_NEEDED" in problem.inner_text()
    assert f"the token '{HTML}' may not: POST /start needs the scope 'run'" in problem.inner_text()
    assert page.locator(".problem [onmouseover]").count() == 0
    page.get_by_role("link", name="All runs").click()
    page.get_by_role("heading", level=1, name="Runs").wait_for()
    ids = [run["run_id"] for run in ask(closed, "GET", "/v1/runs")["runs"]]
    assert "not-mine" not in ids
    ask(closed, "DELETE", f"/v1/tokens/{reader['token_id']}")
    page.get_by_role("link", name="Models").click()  # the session ends with its token
    page.get_by_label("Token").wait_for()


def test_a_session_starts_watches_and_cancels_a_run_and_ends(page: Page, closed: str) -> None:
    complaints = complaints_of(page)
    worker = made(closed, "worker", "read", "run")
    page.goto("/start")
    log_in(page, worker["secret"])
    page.get_by_role("textbox", name="Id", exact=True).fill("mine")
    page.locator("details.phase > summary", has=page.locator("b", has_text="evomerge")).click()
    page.locator("[id='evomerge.generations']").fill("500")
    page.locator("[id='evomerge.pause_s']").fill("0.2")
    page.get_by_role("button", name="Start", exact=True).first.click()
    page.locator(".road progress").wait_for()  # it came by the stream, and the button below did
    page.get_by_role("button", name="Cancel").click()
    page.locator("#summary .state.cancelled").wait_for()
    assert ask(closed, "GET", "/v1/runs/mine")["state"] == "RUN_STATE_CANCELLED"
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Token").wait_for()
    assert page.context.cookies() == []
    page.go_back()
    page.reload()
    page.get_by_label("Token").wait_for()
    assert complaints == []
