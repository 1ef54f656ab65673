"""Whether W&B is told, and how: decided from the environment before wandb is imported, and never changed after."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from agentforge.kit.errors import FailedPrecondition, InvalidInput, MissingTool, Unavailable

VARIABLE = "AGENTFORGE_WANDB"
_DEFAULT_SERVER = "https://api.wandb.ai"
_REACH_S = 5.0


class Mode(StrEnum):
    OFFLINE = "offline"
    ONLINE = "online"
    DISABLED = "disabled"


def decide(given: str = "", environment: Mapping[str, str] = os.environ) -> Mode:
    """What was `given`, else AGENTFORGE_WANDB; WANDB_MODE=disabled, W&B's own switch, turns all of it off."""
    if environment.get("WANDB_MODE") == "disabled":
        return Mode.DISABLED
    word = given or environment.get(VARIABLE, "") or Mode.DISABLED
    try:
        return Mode(word.strip().lower())
    except ValueError:
        raise InvalidInput(
            f"{VARIABLE} is {word!r}",
            reason="UNKNOWN_TRACKING_MODE",
            field=VARIABLE,
            next_step="Use offline, online or disabled.",
        ) from None


def check(mode: Mode, environment: Mapping[str, str] = os.environ) -> None:
    """Raise unless this mode can work here and now. An init that failed would leave later ones broken
    (wandb #9865), so nothing is tried that is known to fail, and online never turns into offline by itself."""
    check_here(mode, environment)
    if mode is Mode.ONLINE:
        _check_reachable(server(environment))


def check_here(mode: Mode, environment: Mapping[str, str] = os.environ) -> None:
    """What can be told without asking anybody, and so at once: package and key."""
    if mode is Mode.DISABLED:
        return
    if importlib.util.find_spec("wandb") is None:
        step = "pip install 'agentforge[wandb]'"
        raise MissingTool("W&B's package is not installed", field="wandb", next_step=step)
    if mode is Mode.ONLINE:
        _check_key(server(environment), environment)


def server(environment: Mapping[str, str] = os.environ) -> str:
    return (environment.get("WANDB_BASE_URL") or _DEFAULT_SERVER).rstrip("/")


def _check_key(url: str, environment: Mapping[str, str]) -> None:
    import netrc

    if environment.get("WANDB_API_KEY"):
        return
    try:
        place = Path(environment.get("NETRC") or "~/.netrc").expanduser()
        if netrc.netrc(place).authenticators(urlsplit(url).hostname or ""):
            return
    except (OSError, netrc.NetrcParseError):
        pass
    raise FailedPrecondition(
        f"there is no key for W&B at {url}",
        reason="WANDB_KEY_MISSING",
        field="WANDB_API_KEY",
        next_step=f"Set WANDB_API_KEY, call `wandb login`, or set {VARIABLE}=offline.",
    )


def _check_reachable(url: str) -> None:
    """Any answer will do; silence and refusal will not."""
    import http.client
    import urllib.error
    import urllib.request

    if urlsplit(url).scheme not in ("http", "https"):
        raise InvalidInput(f"WANDB_BASE_URL is {url!r}", field="WANDB_BASE_URL", next_step="Write http(s)://HOST.")
    try:
        urllib.request.urlopen(url, timeout=_REACH_S).close()  # noqa: S310 - the scheme is checked above
    except urllib.error.HTTPError:
        return
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise Unavailable(
            f"W&B at {url} cannot be reached: {why}",
            reason="WANDB_UNREACHABLE",
            field="WANDB_BASE_URL",
            next_step="Nothing is lost: `agentforge track RUN_ID` tells it later, from the run's log.",
        ) from None
