"""A fake of `agentforge chat MODEL --json`: reads lines, answers lines, and goes wrong as the prompt says."""

import json
import os
import signal
import sys
import time


def main() -> None:
    model = sys.argv[1]
    sys.stderr.write("loading\n" * 2000)  # more than a pipe holds
    sys.stderr.flush()
    asked = 0
    for line in sys.stdin:
        prompt, asked = line.rstrip("\n"), asked + 1
        if prompt == "fail":
            error = {
                "reason": "NO_ROOM",
                "message": f"{model} is too long",
                "field": "prompt",
                "next_step": "Shorten.",
            }
            sys.exit(_said({"error": error}))
        if prompt == "no torch":
            missing = {"reason": "MISSING_TOOL", "message": "a model needs the package 'torch'", "field": "torch"}
            sys.exit(_said({"error": missing}))
        if prompt == "traceback":
            raise ValueError("three")
        if prompt == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if prompt == "sleep":
            time.sleep(600)
        if prompt == "nonsense":
            print("this is no JSON", flush=True)
            continue
        if prompt.startswith("pause "):
            time.sleep(float(prompt.removeprefix("pause ")))
        text = "x" * 10_000_000 if prompt == "endless" else f"{prompt}!"
        token = os.environ.get("AGENTFORGE_TOKEN")
        print(
            json.dumps({"prompt": prompt, "text": text, "asked": asked, "pid": os.getpid(), "token": token}),
            flush=True,
        )


def _said(body: dict[str, object]) -> int:
    print(json.dumps(body), file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
