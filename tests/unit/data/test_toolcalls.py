from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.data.toolcalls import ToolCall, calculator, lookup, parse_calls, python, run_call
from agentforge.kit.errors import InvalidInput


@given(a=st.integers(0, 999), b=st.integers(1, 999))
def test_calculator_is_exact(a: int, b: int) -> None:
    assert calculator(f"({a} - {b}) * {b} // {b} + {a} % {b}") == str((a - b) * b // b + a % b)


@given(st.text(max_size=60))
def test_any_text_gives_a_result_or_a_clear_error(text: str) -> None:
    for tool in (calculator, python, lookup):
        with contextlib.suppress(InvalidInput):
            assert isinstance(tool(text), str)


@pytest.mark.parametrize(
    "escape",
    [
        "__import__('os').system('true')", "(1).__class__", "open('/etc/passwd')", "9**9**9", "[0] * 10**9",
        "'a' * 99", "sum(range(10**9))", "(lambda: 1)()", "[x for x in [1]]", "f'{1}'", "'a'.format(1)",
        "9" * 399, "(" * 200 + ")" * 200, "",
        "1 if 1 else 2", "eval('1')", "globals()", "'a'.join(['b'])", "1 << 99",
        "True", "1.5", "print(1)", "x := 1",
    ],
)  # fmt: skip
def test_nothing_else_is_evaluated(escape: str) -> None:
    for tool in (calculator, python):
        with pytest.raises(InvalidInput):
            tool(escape)


def test_python_knows_lists_and_strings() -> None:
    cases = {"sorted([3, 1, 2])": "[1, 2, 3]", "len('abc')": "3", "'banana'.count('a')": "3", "max([4, 9])": "9"}
    assert {code: python(code) for code in cases} == cases


def test_calls_are_parsed_and_run() -> None:
    call = ToolCall("lookup", "color of tuba")
    answered = ToolCall("lookup", "color of tuba", run_call(call))
    assert parse_calls(f"so {answered.text()} and {call.text()}") == [answered, call]
    assert parse_calls("<|tool|>not a call<|/tool|>") == [None]
    with pytest.raises(InvalidInput, match="Known tools: calculator, lookup, python"):
        run_call(ToolCall("oracle", "x"))
