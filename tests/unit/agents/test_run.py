from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.agents.agent import Outcome, Strategy, Task
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.memory import MemoryGovernor
from agentforge.kit.agents.report import GraphFailed
from agentforge.kit.agents.run import run_graph
from agentforge.kit.agents.standing import State
from agentforge.kit.audience import Quiet
from agentforge.kit.errors import InvalidInput, NotFound
from agentforge.kit.measure import Measurement
from agentforge.kit.stopping import RunStopped
from tests.unit.agents.parts import agent, broken, chain, hashing, once, policy

RETRY, RESTART, FALLBACK, ROLLBACK, ISOLATE, ESCALATE = Strategy


def last(report: Any) -> str:
    return str(report.outputs["C"].read_text())


@pytest.fixture
def right(tmp_path: Path) -> str:
    return last(run_graph(Graph(chain()), tmp_path / "right", Quiet()))


def test_outputs_and_measurements_come_from_children(tmp_path: Path) -> None:
    def work(task: Task) -> Outcome:
        (task.directory / "A").mkdir()
        (task.directory / "A" / "x").write_text(str(os.getpid()))
        return Outcome((Measurement("a/b", 1.5, "s", "by hand", 2),), {"said": [1]})

    audience = Quiet()
    report = run_graph(Graph([agent("a", work=work)]), tmp_path / "g", audience)
    assert (report.outputs["A"] / "x").read_text() != str(os.getpid())
    assert [each.value for each in audience.measured] == [1.5]
    assert report.facts == {"a": {"said": [1]}}


def test_two_runs_give_the_same_logs(tmp_path: Path) -> None:
    def log(name: str) -> Any:
        faulty = {"b": {"work": once(hashing("B"), broken)}}
        report = run_graph(Graph(chain(4, **faulty)), tmp_path / name, Quiet(), at_most=2)
        return report.coordination()["content"], report.recovery()

    assert log("one") == log("two")


def test_what_is_ready_starts_in_the_order_of_declaration(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def noted(name: str) -> Any:
        def work(task: Task) -> Outcome:
            with begun.open("a") as file:
                file.write(name)
            return hashing(name.upper())(task)

        return work

    agents = [
        agent(name, takes, work=noted(name)) for name, takes in [("d", "AC"), ("c", ""), ("a", ""), ("b", "A")]
    ]
    report = run_graph(Graph(agents), tmp_path / "g", Quiet())
    assert begun.read_text() == "cadb" == "".join(report.agents)


@pytest.mark.parametrize("where", ["process", "inline"])
def test_retry_goes_on_in_the_same_directory(tmp_path: Path, where: str, right: str) -> None:
    def half(task: Task) -> None:
        (task.directory / "B").write_text("half")
        raise OSError("once")

    seen: list[str] = []

    def work(task: Task) -> Outcome:
        seen.extend(entry.name for entry in task.directory.iterdir())
        return hashing("B")(task)

    report = run_graph(Graph(chain(b={"work": once(work, half), "where": where})), tmp_path / "g", Quiet())
    assert (report.agents["b"].saved_by, report.agents["b"].attempts, last(report)) == ("retry", 2, right)
    assert seen == (["B"] if where == "inline" else [])


def test_restart_begins_in_an_empty_directory(tmp_path: Path, right: str) -> None:
    def litter(task: Task) -> None:
        (task.directory / "stray").write_text("")

    report = run_graph(Graph(chain(b={"work": once(hashing("B"), litter)})), tmp_path / "g", Quiet())
    then = [each["then"] for each in report.agents["b"].history]
    assert (then, last(report)) == (["retry", "retry", "restart", None], right)


def test_fallback_takes_over(tmp_path: Path, right: str) -> None:
    saved = {"work": broken, "fallback": hashing("B"), "policy": policy(RETRY, FALLBACK, ESCALATE, retries=1)}
    report = run_graph(Graph(chain(b=saved)), tmp_path / "g", Quiet())
    assert (report.agents["b"].saved_by, report.agents["b"].attempts, last(report)) == ("fallback", 3, right)


@pytest.mark.parametrize("harm", ["alter", "cut", "remove"])
def test_rollback_makes_a_damaged_input_again(tmp_path: Path, harm: str, right: str) -> None:
    published = tmp_path / "g" / "done" / "a" / "A"

    def damage(task: Task) -> None:
        text = published.read_text()
        published.unlink()
        if harm != "remove":
            published.write_text(text[:-1] + ("!" if harm == "alter" else ""))

    report = run_graph(Graph(chain(b={"work": once(hashing("B"), damage)})), tmp_path / "g", Quiet())
    assert (report.agents["b"].saved_by, report.agents["a"].attempts, last(report)) == ("rollback", 2, right)
    assert (tmp_path / "g" / "aside" / "a.1").is_dir()


def test_what_was_made_of_another_version_is_made_again(tmp_path: Path) -> None:
    """a makes something else each time; c finds it damaged when b has used it already."""
    published = tmp_path / "g" / "done" / "a" / "A"

    def clock(task: Task) -> Outcome:
        (task.directory / "A").write_text(str(time.monotonic()))
        return Outcome()

    def damage(task: Task) -> None:
        published.write_text("damaged")

    agents = [agent("a", work=clock), agent("b", "A"), agent("c", "AB", work=once(hashing("C"), damage))]
    report = run_graph(Graph(agents), tmp_path / "g", Quiet())
    assert {name: each.attempts for name, each in report.agents.items()} == {"a": 2, "b": 2, "c": 2}
    of = {name: each.result for name, each in report.agents.items() if each.result}
    assert of["b"].inputs["A"] == of["c"].inputs["A"] == of["a"].outputs["A"]


def test_isolated_agents_are_done_without(tmp_path: Path) -> None:
    agents = [
        agent("a", work=broken, policy=policy(ISOLATE)),
        agent("b", "A", can_do_without=("A",)),
        agent("c", "B"),
    ]
    report = run_graph(Graph(agents), tmp_path / "g", Quiet())
    assert [each.state for each in report.agents.values()] == ["isolated", "done", "done"]
    assert report.facts["b"] == {"inputs": []}
    assert report.outputs.keys() == {"B", "C"}
    again = run_graph(Graph(agents), tmp_path / "g", Quiet())
    assert all(each.kept for each in again.agents.values())


def test_escalation_keeps_what_is_finished(tmp_path: Path) -> None:
    with pytest.raises(
        GraphFailed, match=r"agent b failed in attempt 4: .*broken.*retry, retry, restart, esc"
    ) as told:
        run_graph(Graph(chain(b={"work": broken})), tmp_path / "g", Quiet())
    report = told.value.report
    assert [each.state for each in report.agents.values()] == [State.DONE, State.FAILED, State.SKIPPED]
    assert told.value.next_step.endswith("Finished agents are kept: a resumed run goes on with b.")
    mended = run_graph(Graph(chain()), tmp_path / "g", Quiet())
    assert [each.kept for each in mended.agents.values()] == [True, False, False]


def test_wrong_input_is_not_tried_again(tmp_path: Path) -> None:
    def wrong(task: Task) -> Outcome:
        raise InvalidInput("nobody wants this", next_step="Ask for less.")

    with pytest.raises(GraphFailed, match="attempt 1: nobody wants this; tried: escalate") as told:
        run_graph(Graph(chain(b={"work": wrong})), tmp_path / "g", Quiet())
    assert told.value.next_step.startswith("Ask for less. ")


def _hang(task: Task) -> None:
    time.sleep(60)


def _die(task: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fill(task: Task) -> None:
    Path("/dev/full").write_bytes(b"x")


def _swell(task: Task) -> None:
    bytearray(200 << 20)


def _nothing(task: Task) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(_hang, "deadline"), (_die, "killed"), (_fill, "disk"), (_swell, "memory"), (_nothing, "error")],
)
def test_faults_of_children_are_told_apart(tmp_path: Path, fault: Any, kind: str, right: str) -> None:
    struck = {"work": once(hashing("B"), fault), "memory_bytes": 32 << 20}
    struck |= {"deadline_s": 1.0} if kind == "deadline" else {}
    report = run_graph(Graph(chain(b=struck)), tmp_path / "g", Quiet())
    assert [each["failure"] and each["failure"]["kind"] for each in report.agents["b"].history] == [kind, None]
    assert last(report) == right


def _returns_none(task: Task) -> Any:
    hashing("B")(task)


def _writes_nothing(task: Task) -> Outcome:
    return Outcome()


def _writes_a_link(task: Task) -> Outcome:
    (task.directory / "B").symlink_to("/dev/null")
    return Outcome()


def _says_what_json_cannot(task: Task) -> Outcome:
    hashing("B")(task)
    return Outcome(facts={"x": float("nan")})


@pytest.mark.parametrize("work", [_returns_none, _writes_nothing, _writes_a_link, _says_what_json_cannot])
@pytest.mark.parametrize("where", ["process", "inline"])
def test_wrong_results_are_refused(tmp_path: Path, work: Any, where: str) -> None:
    with pytest.raises(GraphFailed) as told:
        run_graph(
            Graph(chain(b={"work": work, "where": where, "policy": policy(ESCALATE)})), tmp_path / "g", Quiet()
        )
    assert told.value.report.agents["b"].state is State.FAILED
    assert not (tmp_path / "g" / "done" / "b").exists()


def test_check_refuses_an_output(tmp_path: Path) -> None:
    def check(task: Task) -> None:
        if (task.directory / "B").read_text() == "bad":
            raise ValueError("bad")

    def bad(task: Task) -> None:
        (task.directory / "B").write_text("bad")
        check(task)

    report = run_graph(Graph(chain(b={"work": once(hashing("B"), bad), "check": check})), tmp_path / "g", Quiet())
    assert report.agents["b"].saved_by == "retry"


def test_run_stopped_passes_through_an_inline_agent(tmp_path: Path) -> None:
    calls: list[int] = []

    def stopped(task: Task) -> Outcome:
        calls.append(task.attempt)
        raise RunStopped

    with pytest.raises(RunStopped):
        run_graph(Graph(chain(b={"work": stopped, "where": "inline"})), tmp_path / "g", Quiet())
    assert calls == [1]
    report = run_graph(Graph(chain(b={"where": "inline"})), tmp_path / "g", Quiet())
    assert [each.kept for each in report.agents.values()] == [True, False, False]


def test_a_request_to_stop_ends_children_and_gives_memory_back(tmp_path: Path) -> None:
    class Asked(Quiet):
        looks = 0

        def check_stop(self, save: Any = None) -> None:
            self.looks += 1
            if self.looks > 3:
                raise RunStopped

    def hang(task: Task) -> Outcome:
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(60)
        return Outcome()

    governor = MemoryGovernor(tmp_path / "memory", 1 << 30)
    with pytest.raises(RunStopped):
        run_graph(Graph([agent("a", work=hang)]), tmp_path / "g", Asked(), memory=governor)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    assert governor.ask("other", 1 << 30)


def test_another_key_or_input_is_made_again(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("1")
    graph = Graph([agent("a", ["model"]), agent("b", "A")], ["model"])

    def kept(key: str) -> list[bool]:
        report = run_graph(graph, tmp_path / "g", Quiet(), given={"model": given}, key=key)
        return [each.kept for each in report.agents.values()]

    assert kept("x") == [False, False]
    assert kept("x") == [True, True]
    assert kept("y") == [False, False]
    given.write_text("2")
    assert kept("y") == [False, False]


def test_a_given_input_must_be_there_and_stay(tmp_path: Path) -> None:
    given = tmp_path / "given"
    graph = Graph([agent("a", ["model"]), agent("b", ["A", "model"])], ["model"])
    with pytest.raises(NotFound, match="model"):
        run_graph(graph, tmp_path / "g", Quiet(), given={"model": given})
    given.write_text("1")

    def spoil(task: Task) -> None:
        given.write_text("2")

    graph = Graph([agent("a", ["model"], work=once(hashing("A"), spoil)), agent("b", ["A", "model"])], ["model"])
    with pytest.raises(GraphFailed, match=r"agent a .*model: not what was published.*tried: escalate"):
        run_graph(graph, tmp_path / "g", Quiet(), given={"model": given})


def test_damage_in_the_directory_is_mended_by_a_resume(tmp_path: Path, right: str) -> None:
    run_graph(Graph(chain()), tmp_path / "g", Quiet())
    (tmp_path / "g" / "done" / "a" / "A").write_text("damaged")
    report = run_graph(Graph(chain()), tmp_path / "g", Quiet())
    assert [each.kept for each in report.agents.values()] == [False, True, True]
    assert (last(report), report.outputs["A"].read_text() != "damaged") == (right, True)


def test_agents_run_beside_each_other(tmp_path: Path) -> None:
    """Each waits until the other is there."""

    def met(own: str, other: str) -> Any:
        def work(task: Task) -> Outcome:
            (tmp_path / own).touch()
            while not (tmp_path / other).exists():
                time.sleep(0.001)
            return hashing(own.upper())(task)

        return work

    agents = [agent("a", work=met("a", "b")), agent("b", work=met("b", "a"))]
    report = run_graph(Graph(agents), tmp_path / "g", Quiet(), at_most=2)
    assert [each.attempts for each in report.agents.values()] == [1, 1]
