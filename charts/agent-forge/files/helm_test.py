"""`helm test`: one small run through the gateway. Standard library alone; exit 0: it succeeded."""

# ruff: noqa: T201  (a program: it prints)
from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FINAL = {"RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED", "RUN_STATE_CANCELLED", "RUN_STATE_REUSED"}
AWAY = (502, 503, 504)


def main() -> int:
    deadline = time.monotonic() + float(os.environ["TIMEOUT_S"])
    asked = json.loads(Path(os.environ["ASKED"]).read_text())
    run_id = f"helm-test-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}"
    run = patient(deadline, "POST", "/v1/runs", {"run_id": run_id, **asked})
    print(f"run {run_id}: {asked}", flush=True)
    said = ""
    while run["state"] not in FINAL:
        if time.monotonic() > deadline:
            call("POST", f"/v1/runs/{run_id}:cancel", {"reason": "helm test: out of time"})
            print(f"not final after {os.environ['TIMEOUT_S']} s, cancelled; last seen: {standing(run)}")
            return 1
        time.sleep(1)
        run = patient(deadline, "GET", f"/v1/runs/{run_id}")
        if standing(run) != said:
            said = standing(run)
            print(said, flush=True)
    print(json.dumps(run.get("error") or {}, indent=2) if run.get("error") else f"ended {run['state']}")
    return 0 if run["state"] == "RUN_STATE_SUCCEEDED" else 1


def standing(run: dict[str, Any]) -> str:
    phases = ", ".join(f"{phase['phase']} {phase['state']}" for phase in run.get("phases", []))
    return f"{run['state']}: {phases}"


def patient(deadline: float, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What passes, as a service that still starts, is waited for; asking twice starts one run."""
    while True:
        try:
            return call(method, path, body)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code not in AWAY or time.monotonic() > deadline:
                sys.exit(f"{method} {path}: {error.code} {text}")
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{method} {path}: {error}")
        time.sleep(2)


def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  (the address is the chart's)
        os.environ["GATEWAY"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['AGENTFORGE_TOKEN']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


if __name__ == "__main__":
    sys.exit(main())
