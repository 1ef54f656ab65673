import pytest

from agentforge.cli.values import parse_phase_settings, parse_settings
from agentforge.kit.errors import InvalidInput


def test_values_are_yaml_scalars_and_lists() -> None:
    given = ["n=5", "rate=1e-3", "on=true", "none=null", "text=a b", "list=[1, 2.5, x]", "empty="]
    wanted = {"n": 5, "rate": 0.001, "on": True, "none": None, "text": "a b", "list": [1, 2.5, "x"], "empty": None}
    assert parse_settings(given) == wanted


def test_a_number_in_quotes_stays_a_text() -> None:
    assert parse_settings(["a='5'", "b=1e5x", "c=e5", "d=deadbeef"]) == {
        "a": "5",
        "b": "1e5x",
        "c": "e5",
        "d": "deadbeef",
    }


def test_dots_lead_inside_and_the_last_one_wins() -> None:
    assert parse_settings(["a.b=1", "a.c.d=2", "a.b=3"]) == {"a": {"b": 3, "c": {"d": 2}}}


def test_phases_come_first() -> None:
    assert parse_phase_settings(["count.n=5", "count.a.b=x"]) == {"count": {"n": 5, "a": {"b": "x"}}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["n"], "not key=value"),
        (["=5"], "not key=value"),
        (["a..b=5"], "not key=value"),
        (["a=[1"], "no YAML"),
        (["a=1", "a.b=2"], "set to a value before"),
        (["a.b=2", "a=1"], "set before"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_way_out(given: list[str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        parse_settings(given)
    assert caught.value.next_step


def test_a_setting_of_a_run_names_its_phase() -> None:
    with pytest.raises(InvalidInput, match="which phase"):
        parse_phase_settings(["n=5"])
