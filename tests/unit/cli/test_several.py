"""--nproc, --nnodes and `join`: what they make of a config, and what they refuse."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentforge.cli.several import Several, elsewhere, with_processes, with_processes_of_all
from agentforge.kit.errors import ForgeError
from agentforge.kit.rundir import RunDirectory, RunRequest
from agentforge.v1 import phase_pb2
from tests.unit.cli.program import Program


def test_processes_are_those_of_all_machines() -> None:
    assert with_processes(["seed=7"], Several()) == {"seed": 7}
    assert with_processes(["seed=7"], Several(each=2)) == {"seed": 7, "processes": 2}
    assert with_processes([], Several(each=4, nodes=3)) == {"processes": 12}
    assert with_processes([], Several(nodes=3)) == {"processes": 3}


def test_of_a_pipeline_only_phases_that_share_work_are_told() -> None:
    able, other = phase_pb2.DescribePhaseResponse(name="able"), phase_pb2.DescribePhaseResponse(name="other")
    able.config_defaults.update({"processes": 1, "seed": 42})
    other.config_defaults.update({"seed": 42})
    told = with_processes_of_all({"able": {"seed": 7}}, 2, [able, other])
    assert told == {"able": {"seed": 7, "processes": 2}}


@pytest.mark.parametrize(
    ("several", "reason", "field"),
    [
        (Several(node=1), "CONFLICTING_OPTIONS", "--nnodes"),
        (Several(master="a:1"), "CONFLICTING_OPTIONS", "--nnodes"),
        (Several(nodes=2, node=2, master="a:1"), "WRONG_NODE_RANK", "--node-rank"),
        (Several(nodes=2, master="a"), "BAD_ADDRESS", "--master"),
        (Several(nodes=2, master=":29400"), "BAD_ADDRESS", "--master"),
        (Several(nodes=2, master="a:0"), "BAD_ADDRESS", "--master"),
        (Several(nodes=2, master="a:65536"), "BAD_ADDRESS", "--master"),
        (Several(nodes=2, master="a:٣"), "BAD_ADDRESS", "--master"),
    ],
)
def test_what_makes_no_team_is_refused(several: Several, reason: str, field: str) -> None:
    with pytest.raises(ForgeError) as caught:
        several.check(target="")
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_a_service_elsewhere_chooses_its_own_machines() -> None:
    Several(each=2).check(target="host:50051")
    with pytest.raises(ForgeError, match="a running service chooses its own machines"):
        Several(nodes=2).check(target="host:50051")


@pytest.mark.parametrize("said", ["processes=2", "processes=4"])
def test_two_numbers_are_refused_even_where_they_agree(said: str) -> None:
    with pytest.raises(ForgeError, match="so does --set processes") as caught:
        with_processes([said], Several(each=2))
    assert caught.value.reason == "CONFLICTING_OPTIONS"
    with pytest.raises(ForgeError, match=r"so does --set count\.processes"):
        with_processes_of_all({"count": {"processes": 2}}, 2, [])


def test_workers_know_of_the_other_machines_only_inside(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    several = Several(each=2, nodes=3, master="10.0.0.1:29400")
    with elsewhere(several, tmp_path / "runs/a/echo"):
        assert (os.environ["AGENTFORGE_NODES"], os.environ["AGENTFORGE_MASTER"]) == ("3", "10.0.0.1:29400")
    assert "AGENTFORGE_NODES" not in os.environ
    typed = capsys.readouterr().err
    for node in (1, 2):
        assert f"agentforge join {tmp_path}/runs/a/echo --node-rank {node} --master 10.0.0.1:29400\n" in typed
    assert several.environment == "AGENTFORGE_NODES=3 AGENTFORGE_MASTER=10.0.0.1:29400 "


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["join", "{home}/runs/none/echo", "--node-rank", "1", "--master", "127.0.0.1:1"],
            "there is no run 'none' of phase 'echo'",
        ),
        (["join", "{home}/none", "--node-rank", "1", "--master", "127.0.0.1:1"], "is no run directory"),
        (
            ["join", "{home}/runs/a/echo", "--node-rank", "1", "--master", "127.0.0.1:1"],
            "was asked for with one process",
        ),
        (["phase", "echo", "--nproc", "2", "--set", "text=a"], "UNKNOWN_FIELD"),
        (["phase", "echo", "--nnodes", "2", "--node-rank", "1"], "CONFLICTING_OPTIONS"),
        (["run", "--nproc", "2", "--set", "count.processes=2"], "CONFLICTING_OPTIONS"),
    ],
)
def test_bad_calls_end_with_2_and_say_why(forge: Program, args: list[str], said: str) -> None:
    run = RunDirectory(forge.home, "a", "echo")
    run.create(RunRequest("a", "echo", (), {}, "c" * 64, "tests.phases.echo:SPEC"))
    told = [part.replace("{home}", str(forge.home)) for part in args]
    refused = forge(*told, *([] if args[0] == "join" else ["--json"]))
    assert refused.code == 2, refused
    assert said in refused.out + refused.err
