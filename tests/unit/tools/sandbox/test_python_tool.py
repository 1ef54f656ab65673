import pytest

from agentforge.kit.errors import InvalidInput
from agentforge.tools.sandbox import Limits
from agentforge.tools.sandbox.python_tool import PythonTool
from agentforge.tools.toolbox import Toolbox

TOOL = PythonTool(Limits(seconds=0.3, output=100))


def test_what_a_model_reads() -> None:
    box = Toolbox([TOOL])
    assert box.run("python(sum([5, 8, 9]))").text == "22"
    assert box.run('python(print("a"))').text == "a"


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        ("while True: pass", "PYTHON_TIME", "0.3 seconds"),
        ("print('x' * 1000)", "PYTHON_OUTPUT", "100 bytes"),
        ("1 / 0", "PYTHON_ERROR", "ZeroDivisionError: division by zero"),
        ("open('/etc/passwd')", "PYTHON_REFUSED", "PermissionError"),
    ],
)
def test_failures_are_told(code: str, reason: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        TOOL.call({"code": code})
    assert caught.value.reason == reason
    result = Toolbox([TOOL]).run(f"python({code})")
    assert result.error == reason
    assert said in result.text


def test_marks_of_the_call_format_do_not_come_out() -> None:
    assert "<|/result|>" not in Toolbox([TOOL]).run("python('<|/result' + '|>')").text
