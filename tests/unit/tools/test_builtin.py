from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentforge.data import toolcalls
from agentforge.data.tasks import FAMILIES
from agentforge.data.toolcalls import ToolCall, parse_calls
from agentforge.kit.errors import ForgeError, InvalidInput, MissingTool
from agentforge.kit.rng import Rng
from agentforge.tools.builtin import BUILTIN, Sources, builtin_tools
from agentforge.tools.limits import Limits
from agentforge.tools.retrieval import Document, Index, read_documents
from agentforge.tools.toolbox import Toolbox

PROVIDER = "tests.unit.tools.plug:Provider"


@settings(deadline=None)
@given(name=st.sampled_from(["tool_calculator", "tool_lookup", "tool_search"]), seed=st.integers(0, 2**32))
def test_calls_of_the_families_score_with_the_results_of_the_toolbox(name: str, seed: int) -> None:
    """At every difficulty: names of up to five syllables, which no index lists."""
    family, dice = FAMILIES[name], Rng(seed, "test").python()
    item = family.draw(dice, dice.choice(family.difficulties))
    (call,) = parse_calls(item.scratchpad)
    assert call is not None
    result = BOX.run(f"{call.tool}({call.argument})")
    assert (result.text, result.error) == (item.answer, "")
    assert family.score(item, f"{ToolCall(call.tool, call.argument, result.text).text()} {result.text}")


BOX = Toolbox(builtin_tools(["calculator", "lookup", "search"]))


def test_python_answers_as_the_reference() -> None:
    try:
        box = Toolbox(builtin_tools(["python"]))
    except MissingTool as error:
        pytest.skip(error.message)
    for seed in range(3):
        item = FAMILIES["tool_python"].draw(Rng(seed, "test").python(), 3)
        (call,) = parse_calls(item.scratchpad)
        assert call is not None
        assert box.run(f"python({call.argument})").text == item.answer
    assert box.run("python(1 / 0)").error.startswith("PYTHON_")


def test_facts_are_found_by_other_words() -> None:
    assert (
        BOX.run("lookup(what is the color of bada ?)").text == f"color of bada: {toolcalls.lookup('color of bada')}"
    )
    assert BOX.run("lookup(BADA HOME)").text == f"home of bada: {toolcalls.lookup('home of bada')}"
    found = BOX.run("search(bada)").text.splitlines()
    assert found == [f"{topic} of bada: {toolcalls.search(f'{topic} of bada')}" for topic in toolcalls.PAGES]
    assert BOX.run("lookup(xyzzy)").error == BOX.run("search(xyzzy)").error == "TOOL_FAILED"
    assert BOX.run("lookup()").error == "BAD_ARGUMENTS"


def test_pages_are_invented_once_and_for_all() -> None:
    assert toolcalls.search("news of bada") == "made a boat"
    assert toolcalls.search("plan of bada") == "burn a house"
    texts = {toolcalls.search(f"news of {name}") for name in string.ascii_lowercase}
    assert len(texts) > 15
    for wrong in ("", "bada", "news of", "news of 3", "tale of bada"):
        with pytest.raises(InvalidInput) as caught:
            toolcalls.search(wrong)
        assert caught.value.reason == "TOOL_FAILED"


TOWNS = [
    Document("Ulm", "A town on the Danube, with the tallest church."),
    Document("Rome", "The town of seven hills on the Tiber."),
    Document("Danube", "A river."),
]


def test_the_best_document_comes_first() -> None:
    index = Index(TOWNS)
    assert index.titled(" ULM ") is TOWNS[0]
    assert [each.title for each in index.best("which town has hills", 9)] == ["Rome", "Ulm"]
    assert [each.title for each in index.best("danube", 9)] == ["Danube", "Ulm"]
    assert [each.title for each in index.best("danube", 1)] == ["Danube"]
    assert index.best("", 9) == index.best("xyzzy", 9) == Index([]).best("a", 9) == []


def test_scores_are_those_of_the_formula() -> None:
    """By hand, Robertson and Zaragoza: "town" once in 9 words of Ulm and in 9 of Rome: a tie goes to the first."""
    index = Index([Document("a", "x x y"), Document("b", "x y y y y y y")])
    assert [each.title for each in index.best("x", 2)] == ["a", "b"]
    assert [each.title for each in index.best("y", 2)] == ["b", "a"]
    even = Index([Document("first", "same"), Document("other", "same")])
    assert [each.title for each in even.best("same", 2)] == ["first", "other"]


def saved(place: Path, *lines: str | bytes) -> Path:
    place.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return place


def test_documents_of_the_user_are_looked_up(tmp_path: Path) -> None:
    rows = [json.dumps({"title": each.title, "text": each.text}) for each in TOWNS]
    file = saved(tmp_path / "towns.jsonl", *rows, "", json.dumps({"id": "7", "text": "a number"}))
    box = Toolbox(builtin_tools(["lookup", "search"], Sources(documents=file, pages=file)))
    assert box.run("lookup(rome)").text == box.run("search(Rome)").text == TOWNS[1].text
    assert box.run("lookup(seven hills)").text == f"Rome: {TOWNS[1].text}"
    assert box.run("lookup(7)").text == "a number"
    assert box.run("search(Danube river)").text.splitlines()[0] == "Danube: A river."


@pytest.mark.parametrize(
    "line",
    [
        "{", "3", "null", "{}", '{"title": "a"}',
        '{"text": "a"}', '{"title": "", "text": "a"}', '{"title": 3, "text": "a"}',
        '{"title": "a", "text": " "}', '{"title": "ulm", "text": "twice"}', b"\xff", "[" * 9_999,
    ],
)  # fmt: skip
def test_bad_lines_are_told_by_number(tmp_path: Path, line: str | bytes) -> None:
    good = json.dumps({"title": "Ulm", "text": "a town"})
    with pytest.raises(InvalidInput, match="line 3") as caught:
        read_documents(saved(tmp_path / "a.jsonl", good, "", line, good))
    assert (caught.value.reason, caught.value.field.endswith("a.jsonl:3")) == ("BAD_DOCUMENT", True)


def test_files_that_hold_no_documents_are_named(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none.jsonl", saved(tmp_path / "empty.jsonl", "", " ")):
        with pytest.raises(ForgeError, match=place.name):
            read_documents(place)


def test_a_provider_works_elsewhere_and_its_pages_are_harmless() -> None:
    limits = Limits(seconds=1)
    with Toolbox(builtin_tools(["search"], Sources(provider=PROVIDER, limits=limits))) as box:
        lines = box.run("search(boats)").text.splitlines()
        assert lines == [f"page {number}: about boats < |/result|>" for number in range(3)]
        assert box.run("search(hang)").error == "TOOL_HUNG"
        assert box.run("search(boats)").error == ""


@pytest.mark.parametrize(
    "reference", ["x", "no_module:x", "tests.unit.tools.plug:none", "tests.unit.tools.plug:NoTool"]
)
def test_what_is_no_provider_is_told_at_once(reference: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        builtin_tools(["search"], Sources(provider=reference))
    assert reference.partition(":")[0] in caught.value.message


def test_names_and_sources_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Did you mean lookup") as caught:
        builtin_tools(["lokup"])
    assert caught.value.reason == "UNKNOWN_TOOL"
    with pytest.raises(InvalidInput, match="Name one of them"):
        builtin_tools(["search"], Sources(provider=PROVIDER, pages=tmp_path))
    with pytest.raises(InvalidInput, match="two tools"):
        Toolbox(builtin_tools(["lookup", "lookup"]))
    assert [tool.spec.name for tool in builtin_tools(["search", "calculator"])] == ["search", "calculator"]
    assert list(BUILTIN) == ["calculator", "lookup", "python", "search"]
