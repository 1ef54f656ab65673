import json
import subprocess
import sys
from pathlib import Path

from tests.unit.cli.program import Program, interrupt, wait_for_log


def test_the_whole_road_and_the_questions_about_it(forge: Program, tmp_path: Path) -> None:
    done = forge("run", "--preset", "tiny", "--run-id", "a", "--out", tmp_path / "out", "--json")
    assert done.code == 0, done
    assert (done.last["run_id"], done.last["state"], done.last["error"]) == ("a", "SUCCEEDED", None)
    assert [p["phase"] for p in done.last["phases"]] == ["echo", "count", "fail", "leak"]
    assert {p["state"] for p in done.last["phases"]} == {"SUCCEEDED"}
    assert {"echo/characters", "count/steps"} <= {m["name"] for m in done.last["measurements"]}
    assert done.last["outputs"][0]["path"] == str(tmp_path / "out" / "text")
    assert (tmp_path / "out" / "text" / "text.txt").exists()

    (listed,) = forge("runs", "--json").last["runs"]
    assert (listed["run_id"], listed["state"]) == ("a", "SUCCEEDED")
    shown = forge("show", "a", "--json").last
    assert shown["config"]["count"]["n"] == 30
    assert shown["phases"][0]["outputs"][0]["sha256"] == done.last["phases"][0]["outputs"][0]["sha256"]
    watched = forge("watch", "a", "--json")
    assert watched.code == 0
    assert [json.loads(line)["sequence"] for line in watched.out.splitlines()] == [
        json.loads(line)["sequence"] for line in done.out.splitlines()[:-1]
    ]
    assert (
        len(forge("watch", "a", "--after", "20", "--json").out.splitlines()) == len(watched.out.splitlines()) - 20
    )
    assert "a" in forge("runs").out
    assert "count/steps = 30" in forge("show", "a").out
    assert forge("show", "a", "--phase", "count", "--json").last["state"] == "SUCCEEDED"


def test_a_part_of_the_road_on_an_input_and_reuse(forge: Program, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("w")
    part = ["run", "--from", "count", "--until", "count", "--input", tmp_path / "words"]
    part += ["--set", "count.n=7", "--json"]
    first = forge(*part)
    assert first.code == 0, first
    assert [p["phase"] for p in first.last["phases"]] == ["count"]
    second = forge(*part)
    assert second.last["phases"][0]["state"] == "REUSED"
    assert second.last["outputs"][0]["sha256"] == first.last["outputs"][0]["sha256"]
    third = forge(*part, "--no-reuse")
    assert third.last["phases"][0]["state"] == "SUCCEEDED"


def test_ctrl_c_cancels_and_resume_finishes(forge: Program) -> None:
    reference = forge("run", "--set", "count.n=40", "--until", "count", "--json")
    slow = ["--set", "count.n=40", "--set", "count.step_s=0.1", "--until", "count"]
    process = forge.start("run", *slow, "--run-id", "a")
    wait_for_log(forge.home / "runs/a/count/events.jsonl", '"done":3')
    interrupt(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "CANCELLED" in out
    assert "agentforge resume a" in err
    assert forge("show", "a", "--json").last["state"] == "CANCELLED"
    assert forge("watch", "a").code == 130
    resumed = forge("resume", "a", "--json")
    assert resumed.code == 0, resumed
    assert resumed.last["outputs"][0]["sha256"] == reference.last["outputs"][0]["sha256"]


def test_a_run_that_lost_its_process_is_left_alone_by_others_and_can_be_cancelled(forge: Program) -> None:
    slow = ["--set", "count.n=400", "--set", "count.step_s=0.1", "--until", "count"]
    process = forge.start("run", *slow, "--run-id", "lost")
    log = forge.home / "runs/lost/pipeline/events.jsonl"
    wait_for_log(forge.home / "runs/lost/count/events.jsonl", '"done":3')
    process.kill()
    process.communicate(timeout=60)
    size = log.stat().st_size
    other = forge("run", "--until", "echo", "--run-id", "other", "--json")
    assert other.last["state"] == "SUCCEEDED"
    assert forge("runs", "--json").code == 0
    assert log.stat().st_size == size
    cancelled = forge("cancel", "lost", "--json")
    assert cancelled.last == {"run_id": "lost", "state": "CANCELLED"}
    assert "RUN_STATE_CANCELLED" in (forge.home / "runs/lost/count/events.jsonl").read_text()


def test_a_run_in_another_gateway(forge: Program) -> None:
    server = forge.start("serve", "all", "--listen", "127.0.0.1:0")
    assert server.stdout is not None
    gateway = server.stdout.readline().split()
    assert gateway[0] == "gateway"
    phases = [server.stdout.readline().split()[0] for _ in range(4)]
    assert phases == ["echo", "count", "fail", "leak"]
    address = gateway[-1]
    done = forge("run", "--gateway", address, "--run-id", "a", "--json")
    assert done.code == 0, done
    assert forge("show", "a", "--gateway", address, "--json").last["state"] == "SUCCEEDED"
    plan = forge("run", "--gateway", address, "--dry-run", "--json").last["plan"]
    assert plan[0]["target"].startswith("unix:"), "beside the gateway a phase needs no port of its own"
    server.terminate()
    assert server.wait(60) == 0


def test_without_a_phase_there_is_nothing_to_run(forge: Program, tmp_path: Path) -> None:
    (tmp_path / "empty_pipeline.py").write_text(
        "from pathlib import Path\n"
        "from agentforge.kit.phase import Pipeline\n"
        "PIPELINE = Pipeline(presets=Path(__file__).parent)\n"
    )
    program = Program(forge.home, pipeline="empty_pipeline", path=str(tmp_path))
    refused = program("run", "--preset", "tiny")
    assert refused.code == 2
    assert "no phase is built yet in this installation" in refused.err


def test_a_port_open_to_others_needs_a_token(forge: Program) -> None:
    for what in ("echo", "all"):
        refused = forge("serve", what, "--listen", "0.0.0.0:0")
        assert refused.code == 2
        assert "AGENTFORGE_TOKEN" in refused.err
    assert forge("serve", "echo", "--listen", "nowhere").code == 2
    assert "Did you mean 'gateway'?" in forge("serve", "gatewya", "--listen", "127.0.0.1:0").err


def test_a_token_is_asked_for_and_given(forge: Program) -> None:
    forge.environment["AGENTFORGE_TOKEN"] = "secret"
    server = forge.start("serve", "echo", "--listen", "127.0.0.1:0")
    assert server.stdout is not None
    target = server.stdout.readline().split()[1]
    assert forge("phase", "echo", "--target", target).code == 0
    del forge.environment["AGENTFORGE_TOKEN"]
    refused = forge("phase", "echo", "--target", target, "--json")
    assert (refused.code, refused.error["reason"]) == (2, "UNAUTHENTICATED")
    server.terminate()
    server.communicate(timeout=60)


def test_help_is_quick_and_light() -> None:
    code = (
        "import sys; sys.argv = ['agentforge', '--help']\n"
        "from agentforge.cli import main\n"
        "main()\n"
        "heavy = {'torch', 'grpc', 'numpy', 'sqlalchemy', 'fastapi', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in (
        "run",
        "phase",
        "serve",
        "runs",
        "show",
        "watch",
        "cancel",
        "resume",
        "chat",
        "eval",
        "merge",
        "verify",
        "evidence",
        "doctor",
        "models",
        "export",
        "join",
        "tokens",
        "track",
        "sweep",
        "drive",
    ):
        assert f"\n  {command} " in done.stdout
    for command in ("bench", "compare"):
        assert f"\n  {command} " not in done.stdout


def test_what_can_be_asked_in_the_end(forge: Program) -> None:
    """A question needs a model, and a person who reads the answer; the answer itself is in `make run`."""
    both = forge("run", "--ask", "Q: 1 + 1 = A:", "--json")
    assert both.code == 2
    assert both.last["error"]["reason"] == "CONFLICTING_OPTIONS"
    assert not (forge.home / "runs").exists()
    none = forge("run", "--until", "echo", "--ask", "Q: 1 + 1 = A:")
    assert none.code == 2
    assert "no model that could be asked" in none.err
    assert "SUCCEEDED" in none.out
