"""Examples as a phase tells them, as a page shows them."""

from __future__ import annotations

from types import SimpleNamespace

from agentforge_gateway.dash.render import fragment


def test_a_thought_stands_where_it_was_had_and_each_tokens_loss_beside_it() -> None:
    tokens = [{"text": "<b>7", "without": 2.5, "with": 0.125}, {"text": "", "without": 0.5, "with": 0.25}]
    thoughts = [{"after": 2, "texts": ["3 and 4"]}]
    data = {"prompt": "3 + 4 =", "said": "7", "right": "7", "thoughts": thoughts, "tokens": tokens}
    made = fragment("parts/samples.html", samples=[SimpleNamespace(name="quietstar/example", data=data)])
    assert "after 2 tokens it thought <q>3 and 4</q>" in made
    assert "<q>&lt;b&gt;7</q>" in made
    assert "<q>end</q>" in made
    rows = [row for row in made.split("<tr>") if "thoughts</th>" in row]
    assert ["2.5" in row and "0.5" in row for row in rows] == [True, False]
    assert ["0.125" in row and "0.25" in row for row in rows] == [False, True]


def test_an_example_of_an_earlier_version_has_no_table() -> None:
    data = {"prompt": "3 + 4 =", "said": "7", "right": "7", "thoughts": []}
    made = fragment("parts/samples.html", samples=[SimpleNamespace(name="quietstar/example", data=data)])
    assert "<table" not in made
