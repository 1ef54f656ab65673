"""llama.cpp's programs, each a process of its own: llama-quantize, and llama-server on a free local port."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from agentforge.kit.errors import DataLoss, RunFailed, Unavailable

_START_SECONDS, _ANSWER_SECONDS, _PAUSE_SECONDS = 120.0, 600.0, 0.1


def run_quantiser(program: Path, source: Path, target: Path, kind: str) -> None:
    done = subprocess.run(
        [str(program), str(source), str(target), kind, "1"], capture_output=True, text=True, check=False
    )
    if done.returncode or not target.is_file():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        message = f"{program.name} ended with {done.returncode} at {kind}: {last}"
        raise RunFailed(message, reason="QUANTISER_FAILED", field=kind)


@contextmanager
def served(program: Path, file: Path, length: int, threads: int) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # as it packs rows anew for speed, it crashes (signal 11) at the few rows of small models
    command = [str(program), "-m", str(file), "-c", str(length), "-np", "1", "--no-repack"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["-t", str(threads)] if threads else []
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            server = Server(f"http://127.0.0.1:{port}")
            server.wait(process, file, said)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Server:
    def __init__(self, address: str) -> None:
        self._address = address
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine

    def wait(self, process: subprocess.Popen[bytes], file: Path, said: IO[bytes]) -> None:
        """Until it has loaded the file. `said`: what it writes."""
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if process.poll() is not None:
                said.seek(0)
                last = (said.read().decode(errors="replace").split("\n")[:-1] or ["it said nothing"])[-1].strip()
                message = f"llama-server cannot load {file}: it ended with {process.returncode}: {last}"
                raise DataLoss(message, reason="BROKEN_FILE", field=str(file))
            try:
                self._ask("/health", None)
                return
            except (urllib.error.URLError, ConnectionError):  # 503 while it loads
                time.sleep(_PAUSE_SECONDS)
        raise Unavailable(f"llama-server was not ready after {_START_SECONDS:.0f} s", field=str(file))

    def greedy(self, text: str, room: int, eos: int) -> list[int]:
        asked = {
            "prompt": text, "n_predict": room, "temperature": 0.0, "top_k": 1, "repeat_penalty": 1.0,
            "return_tokens": True, "cache_prompt": False,
        }  # fmt: skip
        ids = [int(each) for each in self._ask("/completion", asked)["tokens"]]
        return ids[: ids.index(eos)] if eos in ids else ids

    def _ask(self, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, {"Content-Type": "application/json"})  # noqa: S310
        with self._opener.open(request, timeout=_ANSWER_SECONDS) as answer:
            return json.load(answer)
