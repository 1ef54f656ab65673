"""The HTTP side: paths, verbs, status objects, watches, and the faults that tests ask for."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.kubernetes_api.controllers import Controllers
from tests.fakes.kubernetes_api.store import Conflict, Expired, Object, Store
from tests.fakes.kubernetes_api.validation import causes

NAMESPACE = "forge"


@dataclass
class Faults:
    """What goes wrong. `answers`: statuses given to the next calls, whatever they ask; 0 answers nothing at all."""

    answers: list[int] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)  # "verb resource"
    quota: str = ""  # of Jobs, at creation
    token: str = ""  # only calls with it are answered; "": all are
    hang_s: float = 3.0
    watch_s: float = 30.0  # after which a watch is closed


class FakeCluster:
    def __init__(self) -> None:
        self.store, self.faults = Store(), Faults()
        self.calls: list[str] = []
        self.controllers = Controllers(self.store)
        cluster = self

        class Handler(_Handler):
            pass

        Handler.cluster = cluster
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> FakeCluster:
        self._thread.start()
        self.controllers.start()
        return self

    def close(self) -> None:
        self.controllers.close()
        self.faults.watch_s = 0.0
        self._server.shutdown()
        self._server.server_close()

    def names(self, plural: str) -> list[str]:
        return [found["metadata"]["name"] for found in self.store.list(plural)]


class _Handler(BaseHTTPRequestHandler):
    cluster: FakeCluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("get")

    def do_POST(self) -> None:
        self._answer("create")

    def do_DELETE(self) -> None:
        self._answer("delete")

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, verb: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null") or {}
        address = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        parts = address.path.strip("/").split("/")
        if parts[:2] == ["apis", "authorization.k8s.io"]:
            return self._review(body)
        resource, name = _place(parts)
        if verb == "get" and not name:
            verb = "watch" if query.get("watch") in ("true", "True") else "list"
        self.cluster.calls.append(f"{verb} {resource}")
        if self._faulty(verb, resource):
            return None
        getattr(self, f"_{verb}")(resource, name, body, query)
        return None

    def _faulty(self, verb: str, resource: str) -> bool:
        faults = self.cluster.faults
        if faults.answers:
            status = faults.answers.pop(0)
            if not status:
                time.sleep(faults.hang_s)
                self.close_connection = True
                return True
            self._refuse(status, "Injected", "as the test asked", retry_after=status == 429)
            return True
        if faults.token and self.headers.get("Authorization") != f"Bearer {faults.token}":
            self._refuse(401, "Unauthorized", "Unauthorized")
            return True
        if f"{verb} {resource}" in faults.forbidden:
            self._refuse(403, "Forbidden", f"{resource} is forbidden: User cannot {verb} resource {resource}")
            return True
        return False

    def _review(self, body: Object) -> None:
        asked = body["spec"]["resourceAttributes"]
        allowed = f"{asked['verb']} {asked['resource']}" not in self.cluster.faults.forbidden
        self._send(201, body | {"status": {"allowed": allowed}})

    def _create(self, resource: str, name: str, body: Object, query: dict[str, str]) -> None:
        if resource == "jobs":
            wrong = causes(body)
            if wrong:
                message = f"Job.batch {body['metadata'].get('name')!r} is invalid"
                return self._refuse(422, "Invalid", message, causes=wrong)
            quota = self.cluster.faults.quota
            if quota:
                return self._refuse(403, "Forbidden", f"jobs.batch is forbidden: exceeded quota: {quota}")
        if query.get("dryRun"):
            return self._send(201, body)
        try:
            made = self.cluster.store.add(resource, body)
        except Conflict:
            message = f'{resource} "{body["metadata"]["name"]}" already exists'
            return self._refuse(409, "AlreadyExists", message)
        return self._send(201, made)

    def _get(self, resource: str, name: str, body: Object, query: dict[str, str]) -> None:
        found = self.cluster.store.get(resource, name)
        if found is None:
            return self._refuse(404, "NotFound", f'{resource} "{name}" not found')
        return self._send(200, found)

    def _list(self, resource: str, name: str, body: Object, query: dict[str, str]) -> None:
        with self.cluster.store.changed:
            items = [found for found in self.cluster.store.list(resource) if _selected(found, query)]
            version = str(self.cluster.store.version)
        self._send(
            200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}
        )

    def _delete(self, resource: str, name: str, body: Object, query: dict[str, str]) -> None:
        found = self.cluster.store.get(resource, name)
        if found is None:
            return self._refuse(404, "NotFound", f'{resource} "{name}" not found')
        wanted = (body.get("preconditions") or {}).get("uid")
        if wanted not in (None, found["metadata"]["uid"]):
            return self._refuse(409, "Conflict", "the UID in the precondition does not match")
        self.cluster.controllers.delete(resource, name, body.get("propagationPolicy") or "Background")
        return self._send(200, {"kind": "Status", "status": "Success"})

    def _watch(self, resource: str, name: str, body: Object, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        store, seconds = (
            self.cluster.store,
            min(float(query.get("timeoutSeconds", 60)), self.cluster.faults.watch_s),
        )
        try:
            try:
                for what, found in store.changes(
                    resource, int(query["resourceVersion"]), time.monotonic() + seconds
                ):
                    if _selected(found, query):
                        self._chunk({"type": what, "object": found})
            except Expired:
                self._chunk({"type": "ERROR", "object": _status(410, "Expired", "too old resource version")})
            self.wfile.write(b"0\r\n\r\n")
        except OSError:  # who watched has gone
            self.close_connection = True

    def _chunk(self, value: Object) -> None:
        line = json.dumps(value).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()

    def _refuse(self, code: int, reason: str, message: str, *, causes: Any = (), retry_after: bool = False) -> None:
        status = _status(code, reason, message)
        status["details"] = {"causes": [{"field": f, "message": m} for f, m in causes]}
        self._send(code, status, {"Retry-After": "1"} if retry_after else {})

    def _send(self, code: int, value: Object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        for name, text in (
            {"Content-Type": "application/json", "Content-Length": str(len(data))} | (headers or {})
        ).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)


def _place(parts: list[str]) -> tuple[str, str]:
    """api/v1/namespaces/NS/pods/NAME, apis/batch/v1/namespaces/NS/jobs/NAME"""
    at = parts.index("namespaces")
    resource = parts[at + 2]
    return resource, parts[at + 3] if len(parts) > at + 3 else ""


def _selected(found: Object, query: dict[str, str]) -> bool:
    labels = found["metadata"].get("labels") or {}
    wanted = dict(term.split("=", 1) for term in query.get("labelSelector", "").split(",") if term)
    fields = dict(term.split("=", 1) for term in query.get("fieldSelector", "").split(",") if term)
    uid = fields.get("involvedObject.uid")
    return all(labels.get(name) == value for name, value in wanted.items()) and (
        uid is None or found.get("involvedObject", {}).get("uid") == uid
    )


def _status(code: int, reason: str, message: str) -> Object:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    }  # fmt: skip
