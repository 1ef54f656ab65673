"""The models that are being talked with: few processes, of which the least recently used makes room."""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, ResourceExhausted, Unavailable
from agentforge_gateway.dash.talker import Limits, Talker

LONGEST_PROMPT = 32_000  # characters


@dataclass(frozen=True, slots=True)
class Manner:
    """What is fixed when the process starts: another manner is another process."""

    model: Path
    max_new_tokens: int = 64
    temperature: float = 0.0
    thoughts: bool = False


Command = Callable[[Manner], Sequence[str]]


def chat_command(how: Manner) -> list[str]:
    """Code that lies in the model's directory is never run here."""
    command = [sys.executable, "-P", "-m", "agentforge.cli", "chat", str(how.model), "--json"]
    command += ["--max-new-tokens", str(how.max_new_tokens), "--temperature", str(how.temperature)]
    return [*command, "--show-thoughts"] if how.thoughts else command


class Talkers:
    def __init__(self, home: Path, limits: Limits | None = None, command: Command = chat_command) -> None:
        self._home = home
        self._limits = limits or Limits()
        self._command = command
        self._talkers: OrderedDict[Manner, Talker] = OrderedDict()
        self._closed = False

    @property
    def limits(self) -> Limits:
        return self._limits

    async def say(self, how: Manner, prompt: str) -> dict[str, Any]:
        """As `agentforge chat --json` answers: prompt and text, and what the model thought or called."""
        check_prompt(prompt)
        talker, gone = self._choose(how)
        with talker.taken():
            if gone is not None:
                await gone.end()
            try:
                return await talker.ask(prompt)
            except ForgeError as error:
                raise self._explained(error, how) from None

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*[talker.close() for talker in self._talkers.values()])
        self._talkers.clear()

    def _choose(self, how: Manner) -> tuple[Talker, Talker | None]:
        """And the one that makes room for it. Nothing else happens meanwhile: there is no await."""
        if self._closed:
            raise Unavailable("the gateway is stopping", next_step="Ask again in a moment.")
        gone = None
        if how not in self._talkers:
            if len(self._talkers) >= self._limits.alive:
                gone = self._talkers.pop(self._least())
            self._talkers[how] = Talker(self._command(how), self._limits)
        self._talkers.move_to_end(how)
        return self._talkers[how], gone

    def _least(self) -> Manner:
        for how, talker in self._talkers.items():
            if not talker.busy:
                return how
        message = f"{len(self._talkers)} models are answering, and no more are held in memory at once"
        raise ResourceExhausted(message, reason="CHAT_BUSY", field="model", next_step="Ask again in a moment.")

    def _explained(self, error: ForgeError, how: Manner) -> ForgeError:
        """Paths as they are on the volume; and where to chat when this installation has no torch."""
        message = error.message.replace(f"{self._home}/", "")
        step = error.next_step.replace(f"{self._home}/", "")
        if error.reason == "MISSING_TOOL":
            shown = how.model.relative_to(self._home)
            step = (
                "The gateway's own installation has no torch. Chat where there is one "
                f"(pip install 'agentforge[learn]'), on the same volume: agentforge chat $AGENTFORGE_HOME/{shown}"
            )
            return FailedPrecondition(message, reason=error.reason, field=error.field, next_step=step)
        return type(error)(message, reason=error.reason, field=error.field, next_step=step)


def check_prompt(prompt: str) -> None:
    """What cannot be one line of a pipe."""
    if not prompt.strip():
        raise InvalidInput("the prompt is empty", reason="EMPTY_PROMPT", field="prompt", next_step="Say something.")
    if len(prompt) > LONGEST_PROMPT:
        message = f"the prompt has {len(prompt):,} characters; at most {LONGEST_PROMPT:,} are taken"
        raise InvalidInput(message, reason="PROMPT_TOO_LONG", field="prompt", next_step="Shorten it.")
    if "\n" in prompt or "\r" in prompt:
        message, step = "the prompt has several lines", "Ask in one line, or with `agentforge chat --prompt`."
        raise InvalidInput(message, reason="SEVERAL_LINES", field="prompt", next_step=step)
    try:
        prompt.encode()
    except UnicodeEncodeError:
        message = "the prompt holds half a character (a lone surrogate)"
        raise InvalidInput(message, reason="NOT_TEXT", field="prompt") from None
