"""Golden prompts on every backend that is there, and what it takes to run them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from .choose import Candidate, candidates, open_backend
from .facts import device_facts, peak_memory
from .generate import Engine
from .golden import load_golden, replay
from .latency import measure
from .package import Package, sha256
from .tegrastats import Tegrastats
from .text import Text


def verify(package: Package, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    golden = load_golden(package.root / "golden" / "golden.json")
    found, absent = candidates(package, options.backend, options.file)
    asked = [each for each in found if each.file in golden]
    absent += [
        f"{each.backend} on {each.file}: there are no golden answers for it" for each in found if each not in asked
    ]
    results = []
    for candidate in asked:
        results.append(_apart(package.root, candidate, options.threads, options.steps))
        say(_line(results[-1]))
    unmeasured = sorted({each["power_absent"] for each in results if each.get("power_absent")})
    not_measured = [*absent, *(f"power and temperatures ({why})" for why in unmeasured)]
    not_measured.append("signature (the host checks it: agentforge verify)")
    say("".join(f"not measured here: {each}\n" for each in not_measured).rstrip())
    passed = sum(each["passed"] for each in results)
    summary = f"{passed} of {len(results)} gave the golden answers within their tolerance"
    return {
        "format": 1, "ok": bool(results) and passed == len(results), "summary": summary,
        "package": {"name": package.name, "version": package.version, "manifest": sha256(package.manifest_file)},
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "device": device_facts(),
        "results": results, "not_measured": not_measured,
    }  # fmt: skip


def _apart(root: Path, candidate: Candidate, threads: int, steps: int) -> dict[str, Any]:
    """In a process of its own: its peak memory is its own, and if a driver crashes, only it does."""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(verify_one, root, candidate, threads, steps).result()
    except Exception as error:  # whatever a library raises there: it is told, and the next one is tried
        is_dead = isinstance(error, BrokenProcessPool)
        words = "its process died" if is_dead else f"{type(error).__name__}: {error}"
        return {"backend": candidate.backend, "file": candidate.file, "passed": False, "failure": words}


def verify_one(root: Path, candidate: Candidate, threads: int, steps: int) -> dict[str, Any]:
    package, power = Package(root), Tegrastats()
    before, began = peak_memory(), time.perf_counter()
    backend = open_backend(package, candidate, threads)
    told: dict[str, Any] = {"load_seconds": time.perf_counter() - began}
    engine = Engine(backend, package.graph())
    golden = load_golden(root / "golden" / "golden.json")[candidate.file]
    told["golden"] = replay(engine, Text(root / "tokenizer", engine.graph), golden)
    told.update(measure(engine, steps, power))
    told.update(backend=backend.name, version=backend.version, file=backend.file, threads=threads or "all cores")
    told.update(passed=told["golden"]["passed"], memory_bytes={"before_load": before, "peak": peak_memory()})
    told.update(power=power.summary(), power_absent=power.why_not)
    return told


def _line(result: dict[str, Any]) -> str:
    head: str = f"{result['backend']} on {result['file']}: "
    if "failure" in result:
        return f"{head}FAILED: {result['failure']}"
    golden = result["golden"]
    words = [f"{golden['equal']} of {golden['prompts']} answers equal", f"logits within {golden['logits_worst']}"]
    words[1] += f" ({golden['logits_tolerance']} allowed)"
    if golden["tokenized_otherwise"]:
        words.append("the tokenizer cuts prompts otherwise than the host's")
    if "decode" in result:
        decode = result["decode"]
        words.append("decode p50 {ms_p50:.2f} p95 {ms_p95:.2f} p99 {ms_p99:.2f} ms".format(**decode))
        words.append(f"{decode['tokens_per_second']:.1f} tokens/s")
    words.append("prefill of {tokens} tokens {ms_p50:.2f} ms".format(**result["prefill"]))
    peak = result["memory_bytes"]["peak"]
    words += [f"peak {peak / 2**20:.0f} MiB"] if peak else []
    words += [f"{result['power']['whole_mw']['mean'] / 1e3:.2f} W"] if result["power"] else []
    return head + ("" if result["passed"] else "MISMATCH: ") + ", ".join(words)
