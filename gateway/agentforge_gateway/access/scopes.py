"""What each route and each RPC asks of its caller. What is not in these tables is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Scope(StrEnum):
    """None contains another: a token has those that it was made with. Whoever may anything may read."""

    READ = "read"  # see runs, models, measurements, events
    RUN = "run"  # start, cancel and resume runs; register and verify models
    PROMOTE = "promote"  # move aliases: promote, roll back, tag, delete
    ADMIN = "admin"  # tokens, the audit log, clean-up


OPEN = None  # for everybody: probes, and the way in
_READ, _RUN, _PROMOTE, _ADMIN = Scope

ROUTES: dict[str, Scope | None] = {
    # for everybody
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /login": OPEN,
    "POST /login": OPEN,
    "POST /logout": OPEN,
    "GET /favicon.ico": OPEN,
    "GET /static/{name}": OPEN,  # style and scripts, the same for all installations
    # the service
    "GET /metrics": _READ,
    "GET /docs": _READ,
    "GET /openapi.json": _READ,
    # runs of the pipeline
    "POST /v1/runs": _RUN,
    "GET /v1/runs": _READ,
    "POST /v1/runs:plan": _READ,
    "GET /v1/runs/{run_id}": _READ,
    "POST /v1/runs/{run_id}:cancel": _RUN,
    "POST /v1/runs/{run_id}:resume": _RUN,
    "GET /v1/runs/{run_id}/events": _READ,
    "WS /v1/runs/{run_id}/ws": _READ,
    # single phases
    "GET /v1/phases": _READ,
    "GET /v1/phases/{phase}": _READ,
    "POST /v1/phases/{phase}/runs": _RUN,
    "GET /v1/phases/{phase}/runs": _READ,
    "GET /v1/phases/{phase}/runs/{run_id}": _READ,
    "POST /v1/phases/{phase}/runs/{run_id}:cancel": _RUN,
    "GET /v1/phases/{phase}/runs/{run_id}/events": _READ,
    # models
    "GET /v1/models": _READ,
    "GET /v1/models/{name}": _READ,
    "POST /v1/models/{name}:register": _RUN,
    "GET /v1/models/{name}/versions/{version}": _READ,
    "PATCH /v1/models/{name}/versions/{version}/tags": _PROMOTE,
    "DELETE /v1/models/{name}/versions/{version}": _PROMOTE,
    "POST /v1/models/{name}:promote": _PROMOTE,
    "POST /v1/models/{name}:rollback": _PROMOTE,
    "GET /v1/models/{name}/promotions": _READ,
    "PUT /v1/models/{name}/best": _PROMOTE,
    "DELETE /v1/models/{name}/best": _PROMOTE,
    "GET /v1/models/{name}/lineage": _READ,
    "GET /v1/models/{name}/lineage.svg": _READ,
    "GET /v1/models/{name}/card": _READ,
    "GET /v1/models/{name}/export": _READ,
    "POST /v1/models/{name}/verify": _RUN,  # hashes gigabytes
    "POST /v1/models/{name}/replays": _RUN,
    "GET /v1/models/{name}/replays/{run_id}": _READ,
    "POST /v1/storage:clean-up": _ADMIN,
    # access itself
    "POST /v1/tokens": _ADMIN,
    "GET /v1/tokens": _ADMIN,
    "DELETE /v1/tokens/{token_id}": _ADMIN,
    "GET /v1/audit": _ADMIN,
    # pages
    "GET /": _READ,
    "GET /live/runs": _READ,
    "GET /start": _READ,
    "POST /start": _RUN,
    "GET /compare": _READ,
    "GET /runs/{run_id}": _READ,
    "GET /runs/{run_id}/live": _READ,
    "POST /runs/{run_id}/cancel": _RUN,
    "POST /runs/{run_id}/resume": _RUN,
    "GET /runs/{run_id}/report.html": _READ,
    "GET /runs/{run_id}/{phase}": _READ,
    "GET /runs/{run_id}/{phase}/live": _READ,
    "GET /models": _READ,
    "POST /models": _RUN,
    "GET /models/{name}": _READ,
    "POST /models/{name}/promote": _PROMOTE,
    "POST /models/{name}/rollback": _PROMOTE,
    "POST /models/{name}/best": _PROMOTE,
    "POST /models/{name}/tag": _PROMOTE,
    "POST /models/{name}/delete": _PROMOTE,
    "GET /play": _READ,
    "POST /play/say": _RUN,  # loads a model into memory and has it speak
    # the seeds' own
    "POST /cognate/run": _RUN,
    "POST /evomerge/evolve": _RUN,
    "WS /evomerge/progress/{session_id}": _READ,
}

_MODELS = "/agentforge.v1.RegistryService/"
_PIPELINES = "/agentforge.v1.PipelineService/"
RPCS: dict[str, Scope | None] = {
    f"{_PIPELINES}ListPhases": _READ,
    f"{_PIPELINES}PlanPipeline": _READ,
    f"{_PIPELINES}StartPipeline": _RUN,
    f"{_PIPELINES}GetPipeline": _READ,
    f"{_PIPELINES}ListPipelines": _READ,
    f"{_PIPELINES}WatchPipeline": _READ,
    f"{_PIPELINES}CancelPipeline": _RUN,
    f"{_PIPELINES}ResumePipeline": _RUN,
    f"{_MODELS}RegisterModel": _RUN,
    f"{_MODELS}ListModels": _READ,
    f"{_MODELS}GetModel": _READ,
    f"{_MODELS}GetModelVersion": _READ,
    f"{_MODELS}TagModelVersion": _PROMOTE,
    f"{_MODELS}SetBest": _PROMOTE,
    f"{_MODELS}PromoteModel": _PROMOTE,
    f"{_MODELS}RollbackModel": _PROMOTE,
    f"{_MODELS}ListPromotions": _READ,
    f"{_MODELS}DeleteModelVersion": _PROMOTE,
    f"{_MODELS}GetLineage": _READ,
    f"{_MODELS}GetModelCard": _READ,
    f"{_MODELS}VerifyModel": _RUN,
    f"{_MODELS}StartReplay": _RUN,
    f"{_MODELS}GetReplay": _READ,
    f"{_MODELS}CleanUpStorage": _ADMIN,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _READ,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """An entry of the table. `changing`: it is written to the audit log."""

    action: str  # the key of its entry
    scope: Scope | None
    changing: bool
    known: bool = True  # False: the path is there, but not with this method; the app says 405


def route(method: str, path: str) -> Asked | None:
    """The entry for a request; None when there is nothing at that path. `method` is WS for a WebSocket."""
    method = "GET" if method == "HEAD" else method
    elsewhere = False
    for action, verb, pattern, scope in _compiled():
        if pattern.fullmatch(path):
            if verb == method:
                return Asked(action, scope, verb not in ("GET", "WS") and scope not in (_READ, OPEN))
            elsewhere = True
    return Asked(f"{method} {path}"[:200], _READ, changing=False, known=False) if elsewhere else None


def rpc(method: str) -> Asked | None:
    if method not in RPCS:
        return None
    scope = RPCS[method]
    return Asked(method.removeprefix("/"), scope, scope not in (_READ, OPEN))


@cache
def _compiled() -> list[tuple[str, str, re.Pattern[str], Scope | None]]:
    """Fixed paths before those with parameters, as /v1/runs:plan before /v1/runs/{run_id}."""
    found = []
    for action, scope in sorted(ROUTES.items(), key=lambda item: item[0].count("{")):
        verb, _, template = action.partition(" ")
        parts = re.split(r"(\{[^}]+\})", template)
        pattern = "".join(_parameter(part) if part.startswith("{") else re.escape(part) for part in parts)
        found.append((action, verb, re.compile(pattern, re.DOTALL), scope))
    return found


def _parameter(part: str) -> str:
    return ".+" if part.endswith(":path}") else "[^/]+?"
