"""Processes of models: few of them, in time, bounded, and in their own words when they fail.

Except for the last two tests the process is a fake of `agentforge chat` (fake_chat.py), which needs no torch.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, ResourceExhausted, Unavailable
from agentforge_gateway.dash.talk import LONGEST_PROMPT, Manner, Talkers
from agentforge_gateway.dash.talker import Limits

FAKE = Path(__file__).parent / "fake_chat.py"
HOME = Path("/volume")


def talkers(**limits: float) -> Talkers:
    return Talkers(HOME, Limits(**limits), lambda how: [sys.executable, str(FAKE), str(how.model)])  # type: ignore[arg-type]


def manner(name: str = "a") -> Manner:
    return Manner(HOME / name)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid: int, within_s: float = 5) -> bool:
    until = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < until:
        await asyncio.sleep(0.02)
    return not alive(pid)


def test_one_process_answers_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_TOKEN", "r00t")

    async def story() -> None:
        talk = talkers()
        said = await asyncio.gather(*(talk.say(manner(), text) for text in ("ä", "b", "<b>")))
        assert [(one["prompt"], one["text"], one["asked"]) for one in said] == [
            ("ä", "ä!", 1),
            ("b", "b!", 2),
            ("<b>", "<b>!", 3),
        ]
        assert len({one["pid"] for one in said}) == 1
        assert said[0]["token"] is None  # what opens the gateway is not handed on
        await talk.close()
        assert await gone(said[0]["pid"])
        with pytest.raises(Unavailable):
            await talk.say(manner(), "x")

    asyncio.run(story())


def test_the_least_recently_used_makes_room() -> None:
    async def story() -> None:
        talk = talkers(alive=2)
        a = (await talk.say(manner("a"), "x"))["pid"]
        b = (await talk.say(manner("b"), "x"))["pid"]
        assert (await talk.say(manner("a"), "x"))["pid"] == a
        c = (await talk.say(manner("c"), "x"))["pid"]
        assert await gone(b)
        assert alive(a)
        assert alive(c)
        both = [asyncio.create_task(talk.say(manner(name), "pause 1")) for name in "ac"]
        await asyncio.sleep(0.1)
        with pytest.raises(ResourceExhausted) as busy:
            await talk.say(manner("d"), "x")
        assert busy.value.reason == "CHAT_BUSY"
        assert [one["text"] for one in await asyncio.gather(*both)] == ["pause 1!"] * 2
        queue = [asyncio.create_task(talk.say(manner("a"), "pause 0.2")) for _ in range(5)]
        answers = await asyncio.gather(*queue, return_exceptions=True)
        assert sum(isinstance(one, ResourceExhausted) for one in answers) == 1  # four wait, no more
        await talk.close()

    asyncio.run(story())


def test_who_is_not_asked_is_let_go() -> None:
    async def story() -> None:
        talk = talkers(idle_s=0.3)
        pid = (await talk.say(manner(), "x"))["pid"]
        assert (await talk.say(manner(), "pause 0.6"))["pid"] == pid  # who answers is not idle
        assert await gone(pid)
        again = await talk.say(manner(), "x")
        assert (again["asked"], again["text"]) == (1, "x!")
        await talk.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("prompt", "kind", "reason", "words"),
    [
        ("fail", InvalidInput, "NO_ROOM", "a is too long"),
        ("no torch", FailedPrecondition, "MISSING_TOOL", "torch"),
        ("traceback", FailedPrecondition, "CHAT_ENDED", "ValueError: three"),
        ("die", FailedPrecondition, "CHAT_ENDED", "SIGKILL"),
        ("nonsense", FailedPrecondition, "CHAT_ENDED", "this is no JSON"),
        ("endless", FailedPrecondition, "CHAT_TOO_LONG", "1,048,576"),
        ("sleep", Unavailable, "CHAT_TIMEOUT", "within 2 s"),
    ],
)
def test_failures_are_told_and_the_next_prompt_is_answered(
    prompt: str, kind: type[ForgeError], reason: str, words: str
) -> None:
    async def story() -> None:
        talk = talkers(answer_s=2.0)
        first = await talk.say(manner(), "x")
        with pytest.raises(kind) as failed:
            await talk.say(manner(), prompt)
        assert failed.value.reason == reason
        assert words in failed.value.message
        assert "/volume" not in failed.value.message
        if prompt == "no torch":
            assert "agentforge chat $AGENTFORGE_HOME/a" in failed.value.next_step
        assert await gone(first["pid"])
        again = await talk.say(manner(), "y")
        assert (again["text"], again["asked"]) == ("y!", 1)
        await talk.close()

    asyncio.run(story())


def test_a_prompt_is_one_line_of_text() -> None:
    async def story() -> None:
        talk = talkers()
        wrong = {
            "": "EMPTY_PROMPT", " \t ": "EMPTY_PROMPT", "a\nb": "SEVERAL_LINES", "a\rb": "SEVERAL_LINES",
            "x" * (LONGEST_PROMPT + 1): "PROMPT_TOO_LONG", "\ud800": "NOT_TEXT",
        }  # fmt: skip
        for prompt, reason in wrong.items():
            with pytest.raises(InvalidInput) as refused:
                await talk.say(manner(), prompt)
            assert refused.value.reason == reason
        strange = "\u2028 \x85 \x0b \x1c \0 ; -- \x1b[2J"
        assert (await talk.say(manner(), strange))["prompt"] == strange
        await talk.close()

    asyncio.run(story())


def test_stopping_does_not_wait_for_an_answer() -> None:
    async def story() -> None:
        talk = talkers()
        pid = (await talk.say(manner(), "x"))["pid"]
        asking = asyncio.create_task(talk.say(manner(), "sleep"))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(3):
            await talk.close()
            with pytest.raises(Unavailable):
                await asking
        assert await gone(pid)

    asyncio.run(story())


def test_who_goes_away_leaves_no_answer_for_the_next() -> None:
    async def story() -> None:
        talk = talkers()
        asking = asyncio.create_task(talk.say(manner(), "pause 0.5"))
        await asyncio.sleep(0.2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await talk.say(manner(), "mine"))["text"] == "mine!"
        await talk.close()

    asyncio.run(story())


def test_the_real_command_where_torch_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the gateway's image: a directory before all others in which importing torch fails."""
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "torch.py").write_text("raise ModuleNotFoundError('none', name='torch')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'none'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "runs").mkdir()

    async def story() -> None:
        talk = Talkers(tmp_path)
        with pytest.raises(FailedPrecondition) as failed:
            await talk.say(Manner(tmp_path / "runs"), "x")
        assert failed.value.reason == "MISSING_TOOL"
        assert "'torch'" in failed.value.message
        assert "agentforge chat $AGENTFORGE_HOME/runs" in failed.value.next_step
        await talk.close()

    asyncio.run(story())


@pytest.mark.slow
def test_a_real_model(tmp_path: Path) -> None:
    from tests import pico

    pico.save(pico.titan(), tmp_path / "model")

    async def story() -> None:
        talk = Talkers(tmp_path, Limits(answer_s=300.0))  # torch loads slowly on a machine that tests elsewhere
        how = Manner(tmp_path / "model", max_new_tokens=4)
        first, second = await talk.say(how, "1 + 2 ="), await talk.say(how, "1 + 2 =")
        assert set(first) >= {"prompt", "text"}
        assert first == second  # greedy
        with pytest.raises(ForgeError) as long:
            await talk.say(how, "9" * 5000)
        assert long.value.reason == "PROMPT_TOO_LONG"
        with pytest.raises(ForgeError) as none:
            await talk.say(Manner(tmp_path / "model", thoughts=True), "x")
        assert none.value.reason == "NO_THOUGHTS"
        assert str(tmp_path) not in none.value.message
        await talk.close()

    asyncio.run(story())
