import json
from pathlib import Path

from agentforge.cli.installed import _parse
from agentforge.cli.machine import disk_free_bytes, memory_bytes, size_text
from tests.unit.cli.program import Program


def test_a_sound_machine(forge: Program) -> None:
    done = forge("doctor", "--json", timeout=180)
    report = json.loads(done.out)
    found = {finding["name"]: finding for finding in report["findings"]}
    assert {"python", "packages", "[gateway]", "torch", "cpu", "memory", "disk", "sockets", "sandbox"} <= set(found)
    assert done.code == (2 if report["status"] == "fail" else 0)
    assert found["home"]["status"] == found["packages"]["status"] == "ok"
    assert found["database"]["status"] == "ok", found["database"]
    assert "echo, count" in found["pipeline"]["fact"]
    assert all(finding["next_step"] for finding in report["findings"] if finding["status"] == "fail")
    assert sorted(p.name for p in forge.home.iterdir()) == []


def test_packages_of_an_extra_are_not_missing_from_the_base() -> None:
    assert _parse('lm-eval[hf]>=0.4.13; extra == "lm-eval"') == ("lm-eval", "0.4.13", "lm-eval")
    assert _parse("pyyaml>=6.0.2") == ("pyyaml", "6.0.2", "")


def test_a_home_that_is_no_directory_and_a_broken_pipeline_are_failures(forge: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken.py").write_text("1 / 0")
    program = Program(tmp_path / "file", pipeline="broken", path=str(tmp_path))
    done = program("doctor", timeout=180)
    assert done.code == 2
    assert "fail  home" in done.out
    assert "fail  pipeline" in done.out
    assert "ZeroDivisionError" in done.out


def test_facts_about_the_machine(tmp_path: Path) -> None:
    total, available = memory_bytes()
    assert 0 < available <= total
    assert disk_free_bytes(tmp_path / "not" / "there" / "yet") > 0
    assert size_text(1536) == "1.5 KiB"
