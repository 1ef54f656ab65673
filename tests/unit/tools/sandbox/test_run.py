"""What a caller gets of a run."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.tools.sandbox import Limits, protection, run_python
from agentforge.tools.sandbox.launch import LAYERS, MODULES

BRIEF = Limits(seconds=0.3, memory=96 << 20, output=1000)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print(1 + 1)", "2\n"),
        ("sum([5, 8, 9])", "22\n"),
        ("x = 6\nx * 7", "42\n"),
        ("def f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(15))", "610\n"),
        ("x = 3", ""),
        ("None", ""),
        ("'abc'.upper()", "ABC\n"),
        ("print('a', end='')", "a"),
        ("", ""),
        ("\n\n# nothing\n", ""),
        ("import sys\nsys.exit(0)", ""),
        ("import sys\nprint(1, file=sys.stderr)", "1\n"),
        ("print('å', '\\ud800')", "å \\ud800\n"),
        ("import os\nos.write(1, b'a\\xffb') and None", "a\ufffdb"),
        ("'\\N{BULLET}'", "•\n"),
        ("import datetime\ndatetime.datetime.strptime('2020', '%Y').year", "2020\n"),
        ("'\\d'", "\\d\n"),
        ("from collections import abc\nabc.Sized.__name__", "Sized\n"),
        ("import random\nrandom.seed(1)\nrandom.random() < 1", "True\n"),
        ("import time\ntime.sleep(0.01)\ntime.perf_counter() > 0", "True\n"),
        ("__name__", "__main__\n"),
    ],
)  # fmt: skip
def test_what_it_prints(code: str, text: str) -> None:
    outcome = run_python(code)
    assert (outcome.failure, outcome.message, outcome.text) == (None, "", text)


@pytest.mark.parametrize(
    ("code", "failure", "message"),
    [
        ("1 / 0", "error", "ZeroDivisionError: division by zero"),
        ("raise ValueError('a\\nb')", "error", "b"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt: "),
        ("import sys\nsys.exit(3)", "error", "SystemExit: 3"),
        ("def f(", "error", "SyntaxError: '(' was never closed (<python>, line 1)"),
        ("a\0b", "error", "null bytes"),
        ("'\ud800'", "error", "SyntaxError: the code is no text"),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", "error", "E"),
        ("open('/etc/passwd')", "refused", "PermissionError"),
        ("import socket", "refused", "these can: array, base64"),
        ("import os\nos._exit(0)", "died", "exit status 0"),
        ("import ctypes\nctypes.string_at(0)", "died", "signal 11"),
        ("while True: pass", "time", "0.3 seconds"),
        ("[0] * 10**9", "memory", "100,663,296 bytes of memory"),
        ("print('x' * 1001)", "output", "1,000 bytes of output"),
        ("x = 1\n" * 20_000, "refused", "120,000 bytes; the limit is 65,536"),
        ("#" * 10_000_000, "refused", "10,000,000 bytes"),
    ],
)  # fmt: skip
def test_failures_have_names(code: str, failure: str, message: str) -> None:
    outcome = run_python(code, BRIEF)
    assert outcome.failure == failure, outcome
    assert message in outcome.message


def test_what_was_printed_before_a_failure_is_kept() -> None:
    for code in ("print(1)\nwhile True: pass", "print(1)\n1 / 0", "print(1)\nimport ctypes\nctypes.string_at(0)"):
        assert run_python(code, BRIEF).text == "1\n"
    assert run_python("print('x' * 2000)", BRIEF).text == "x" * 1000


def test_the_processor_has_a_limit_of_its_own() -> None:
    outcome = run_python("while True: pass", Limits(seconds=20, cpu_seconds=1))
    assert (outcome.failure, outcome.message) == ("time", "ended at its limit of 1 seconds of the processor")
    assert outcome.seconds < 15


def test_every_module_of_the_list_can_be_imported() -> None:
    outcome = run_python("".join(f"import {name}\nprint({name}.__name__)\n" for name in MODULES))
    assert outcome.text.split() == list(MODULES), outcome


def test_a_module_that_is_not_spelled_out_is_not_there() -> None:
    assert run_python("__import__('jso' + 'n')").failure == "refused"


def test_runs_beside_each_other_do_not_mix() -> None:
    with ThreadPoolExecutor(6) as pool:
        texts = list(pool.map(lambda n: run_python(f"print({n})").text, range(12)))
    assert texts == [f"{n}\n" for n in range(12)]


def test_protection_tells_what_a_run_was_kept_in_by() -> None:
    told = protection()
    assert list(told) == list(LAYERS)
    assert told["seccomp"]
    assert told["rlimits"]
    assert tuple(name for name, holds in told.items() if holds) == run_python("1").layers


def test_a_caller_waits_for_no_more_than_the_limit() -> None:
    began = time.monotonic()
    run_python("import time\ntime.sleep(60)", BRIEF)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "values", [{"seconds": 0}, {"seconds": 1e9}, {"cpu_seconds": 0}, {"memory": 1}, {"output": 0}, {"wall": 1}]
)
def test_limits_have_bounds(values: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=re.escape(next(iter(values)))):
        validate_config(Limits, values)
