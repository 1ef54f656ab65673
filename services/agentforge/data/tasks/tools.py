"""Questions to be answered by calling a tool; scored by outcome, whatever the call looked like."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from agentforge.data.items import ANSWER_CUE, Item, first_line
from agentforge.data.tasks.arithmetic import problem
from agentforge.data.tasks.base import Family
from agentforge.data.toolcalls import FACTS, PAGES, RESULT_CLOSE, TOOL_CLOSE, ToolCall, parse_calls, run_call
from agentforge.kit.errors import InvalidInput

DESCRIPTION = "Tools: calculator ( expression ) , lookup ( fact ) , python ( expression )\n"
WITH_SEARCH = DESCRIPTION.replace("\n", " , search ( words )\n")
SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")


def valid_call(output: str) -> bool:
    """Whether the output's first call can be run; the valid-call rate is the mean of this."""
    calls = parse_calls(output)
    return bool(calls) and _outcome(calls[0]) is not None


def _outcome(call: ToolCall | None) -> str | None:
    try:
        return None if call is None else run_call(call)
    except InvalidInput:
        return None


@dataclass(frozen=True)
class ToolUse(Family):
    """The prefix names the tools; baking (phase 6) is to make the model do without it."""

    description: ClassVar[str] = DESCRIPTION

    def score(self, item: Item, output: str) -> bool:
        """Right if the last call truly gives the answer, shown results are true, and what is said is right.

        An output that ends with a call was stopped there to run the tool: then the call is the answer.
        """
        line = first_line(output)
        calls = parse_calls(line)
        if not calls or any(call is None or call.result not in (None, _outcome(call)) for call in calls):
            return False
        said = line.rpartition(RESULT_CLOSE if RESULT_CLOSE in line else TOOL_CLOSE)[2].strip(" ")
        is_said = said == item.answer or line.endswith(TOOL_CLOSE)
        return is_said and _outcome(calls[-1]) == item.answer

    def _item(self, question: str, call: ToolCall, difficulty: int, key: str = "") -> Item:
        answer = run_call(call)
        trajectory = ToolCall(call.tool, call.argument, answer).text()
        return Item(self.name, f"Q: {question} {ANSWER_CUE}", answer, difficulty, trajectory, self.description, key)


@dataclass(frozen=True)
class Calculator(ToolUse):
    """`difficulty` is the number of digits of both operands."""

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        top = 10**difficulty
        text, _, key = problem(rng.randrange(top), rng.choice("+-*"), rng.randrange(top))
        return self._item(f"{text} =", ToolCall("calculator", text), difficulty, key)


@dataclass(frozen=True)
class Lookup(ToolUse):
    """`difficulty` is the number of syllables of the name that is looked up."""

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        name = "".join(rng.choices(SYLLABLES, k=difficulty))
        question = f"{rng.choice(sorted(FACTS))} of {name}"
        return self._item(question, ToolCall("lookup", question), difficulty)


@dataclass(frozen=True)
class Search(ToolUse):
    """`difficulty` is the number of syllables of the name that is searched for."""

    description: ClassVar[str] = WITH_SEARCH  # the other families' prefix stays what models were trained on

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        name = "".join(rng.choices(SYLLABLES, k=difficulty))
        question = f"{rng.choice(sorted(PAGES))} of {name}"
        return self._item(question, ToolCall("search", question), difficulty)


@dataclass(frozen=True)
class PythonUse(ToolUse):
    """`difficulty` is the number of elements of the list that is worked on."""

    def draw(self, rng: random.Random, difficulty: int) -> Item:
        numbers = [rng.randrange(100) for _ in range(difficulty)]
        word, function = rng.choice((("sum", "sum"), ("largest", "max"), ("smallest", "min"), ("count", "len")))
        question = f"{word} of {' '.join(map(str, numbers))}"
        return self._item(question, ToolCall("python", f"{function}({numbers})"), difficulty)
