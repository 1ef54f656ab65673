"""One question with its exact answer, in the text form that a person would type."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentforge.data.splits import Split, split_of

ANSWER_CUE = "A:"
STEPS_CUE = "S:"  # asks for the worked steps before the answer

_RESULT = re.compile(r"(<\|result\|>.*?<\|/result\|>)", re.DOTALL)
_END = re.compile(r"\n|<\|eos\|>|<\|pad\|>")


@dataclass(frozen=True, slots=True)
class Item:
    """`prompt` ends with a cue; `completion` is what a model that knows the answer says next.

    `prefix` is an instruction (tools, persona) that a *prompted* model sees before the prompt; baking removes it.
    `key` is what the split hashes: forms of one problem (with and without steps, 2 + 3 and 3 + 2) share it.
    """

    family: str
    prompt: str
    answer: str
    difficulty: int
    scratchpad: str = ""
    prefix: str = ""
    key: str = ""

    @property
    def canonical(self) -> str:
        return self.key or self.prompt

    @property
    def split(self) -> Split:
        return split_of(self.canonical)

    @property
    def completion(self) -> str:
        if self.prompt.endswith(STEPS_CUE):
            return f" {self.scratchpad} {ANSWER_CUE} {self.answer}"
        return f" {self.scratchpad} {self.answer}" if self.scratchpad else f" {self.answer}"

    @property
    def text(self) -> str:
        return self.prefix + self.prompt + self.completion

    def segments(self) -> list[tuple[str, bool]]:
        """(text, is it learned). A tool's result is put there by the tool, so the model never learns to say it."""
        parts = _RESULT.split(self.completion)
        said = [(part, index % 2 == 0) for index, part in enumerate(parts) if part]
        return [(self.prefix + self.prompt, False), *said]


def first_line(output: str) -> str:
    """What a model said, up to the end of its line or text."""
    return _END.split(output.lstrip(" "), maxsplit=1)[0].rstrip(" ")


def answer_in(output: str) -> str:
    """The answer in a model's output: after the last cue where there are worked steps, else the whole line."""
    return first_line(output).rpartition(ANSWER_CUE)[2].strip(" ")
