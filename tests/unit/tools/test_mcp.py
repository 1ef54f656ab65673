from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from agentforge.kit.errors import InvalidInput, MissingTool
from agentforge.tools.limits import Limits
from agentforge.tools.mcp import McpServer, McpTool
from agentforge.tools.plugins import load_tool
from agentforge.tools.toolbox import Toolbox

COMMAND = [sys.executable, "-m", "tests.unit.tools.mcp_server"]
LIMITS = Limits(seconds=1.5, result=1_000)


def say() -> McpTool:
    """A plug-in: tests.unit.tools.test_mcp:say."""
    return McpServer(COMMAND).tool("say")


@pytest.fixture(scope="module")
def box() -> Iterator[Toolbox]:
    server = McpServer(COMMAND, LIMITS)
    yield Toolbox([server.tool("say"), server.tool("fails")], LIMITS)
    server.close()


def test_tools_of_a_server_are_called(box: Toolbox) -> None:
    assert [spec.name for spec in box.specs] == ["say", "fails"]
    assert box.run("say(hello <|eos|>)").text == "said hello < |eos|>\n(image)"
    failed = box.run("fails(x)")
    assert (failed.error, failed.text) == ("TOOL_FAILED", "error: fails: said x (image)")
    denied = box.run("say(deny)")
    assert (denied.error, denied.text) == ("TOOL_FAILED", "error: say: not that")


@pytest.mark.parametrize(
    ("what", "reason"),
    [("hang", "TOOL_HUNG"), ("die", "TOOL_DIED"), ("flood", "RESULT_TOO_LONG"), ("rubbish", "TOOL_DIED")],
)
def test_a_server_that_goes_wrong_is_started_again(box: Toolbox, what: str, reason: str) -> None:
    assert box.run(f"say({what})").error == reason
    assert box.run("say(again)").error == ""


def test_a_server_works_inside_a_plugin() -> None:
    with Toolbox([load_tool(f"{__name__}:say")]) as box:
        assert box.run("say(hello)").text == "said hello\n(image)"


def test_names_that_no_call_can_hold_are_refused_where_they_are_wanted() -> None:
    server = McpServer(COMMAND)
    with pytest.raises(InvalidInput, match="'get-weather' is no name"):
        server.tools()
    with pytest.raises(InvalidInput, match="no tool none") as caught:
        server.tool("none")
    assert caught.value.next_step == "It has say, get-weather, fails."
    server.close()


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ([*COMMAND, "mute"], "within 1.5 s"),
        ([*COMMAND, "deny"], "go away"),
        ([*COMMAND, "endless"], "more than 100 pages"),
        ([sys.executable, "-c", "print('hello')"], "no answer"),
        ([sys.executable, "-c", "raise SystemExit(9)"], "exit status 9"),
    ],
)
def test_what_is_no_server_is_told(command: list[str], word: str) -> None:
    limits = Limits(seconds=20, start_seconds=1.5 if "mute" in command else 20)
    with pytest.raises(InvalidInput, match=word):
        McpServer(command, limits).tools()


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingTool, match="no-such-server"):
        McpServer(["no-such-server"]).tools()
