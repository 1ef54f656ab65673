"""The API server, asked with patience: what may pass is asked again, what will not pass is raised.

The client is synchronous: each call runs in a thread, with a bound on its time. Answers are plain dicts as they
travelled. What is sent the client checks against its own models: a field it is too old to know is refused here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from agentforge.kit.errors import FailedPrecondition, MissingTool

Object = dict[str, Any]
CALL_S = 15.0
_WATCH_S = 240  # a watch ends by then, and begins again where it ended
_TRANSIENT = frozenset({401, 408, 429, 500, 502, 503, 504})
_NEW_TOKEN_S = 2.0  # the kubelet writes it, which costs the server nothing
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 20.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    host: str
    ca: Path | None = None
    token: Path | None = None  # of a projected service account: the kubelet writes a new one before the old expires


class ApiRefused(Exception):
    """The server's own words. `causes`: field and message of each thing that it did not like."""

    def __init__(self, status: int, reason: str, message: str, causes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message, self.causes = status, reason, message, causes
        self.after_s = 0.0

    @property
    def passes(self) -> bool:
        return self.status in _TRANSIENT


@dataclass(slots=True)
class Pause:
    """Doubled each time, with chance, so that many services do not come back in the same instant."""

    seconds: float = _FIRST_PAUSE_S
    chance: random.Random = field(default_factory=random.Random)

    def next(self, at_least_s: float = 0.0) -> float:
        now, self.seconds = self.seconds, min(2 * self.seconds, _LONGEST_PAUSE_S)
        return max(at_least_s, now * self.chance.uniform(0.5, 1.0))


class Api:
    def __init__(self, connection: Connection | None, namespace: str, call_s: float = CALL_S) -> None:
        """`connection` None: the client's own configuration file (KUBECONFIG)."""
        try:
            from kubernetes import client, config
        except ImportError as error:
            raise MissingTool(
                f"AGENTFORGE_LAUNCHER=kubernetes needs the kubernetes client: {error}",
                next_step="Install it: pip install 'agentforge[cluster]'.",
            ) from None
        self.namespace = namespace
        self._call_s = call_s
        self._token = connection.token if connection is not None else None
        self._reading = threading.Lock()
        settings: Any = client.Configuration()
        if connection is None:
            _load_file(config, settings)
        else:
            settings.host = connection.host
            settings.ssl_ca_cert = str(connection.ca) if connection.ca is not None else None
            _first_token(lambda: self._put_token(settings))  # the hook is called only where there is one already
            settings.refresh_api_key_hook = self._put_token  # before each call: a small file, and always the newest
        settings.retries = 0  # ours are enough
        self._client: Any = client.ApiClient(settings)
        self._groups: dict[str, Any] = {
            "batch": client.BatchV1Api(self._client),
            "core": client.CoreV1Api(self._client),
            "authorization": client.AuthorizationV1Api(self._client),
        }

    async def call(self, group: str, verb: str, *names: Any, **options: Any) -> Object:
        """Until there is an answer that will not change by asking again."""
        pause, warned = Pause(), False
        while True:
            try:
                return await self.once(group, verb, *names, **options)
            except ApiRefused as error:
                if not error.passes:
                    raise
                if not warned and pause.seconds > 1:
                    _log.warning("%s: %s; it is tried again and again", verb, error)
                    warned = True
                seconds = pause.next(error.after_s)
                await asyncio.sleep(min(seconds, _NEW_TOKEN_S) if error.status == 401 else seconds)

    async def once(self, group: str, verb: str, *names: Any, **options: Any) -> Object:
        return await asyncio.to_thread(self.ask, group, verb, *names, **options)

    def ask(self, group: str, verb: str, *names: Any, **options: Any) -> Object:
        """In the caller's thread."""
        response = self._request(group, verb, names, options | {"_request_timeout": self._call_s})
        with_body: Object = json.loads(response.data or b"{}")
        return with_body

    def watch(
        self, group: str, verb: str, version: str, options: dict[str, Any], opened: Callable[[Any], None]
    ) -> Iterator[Object]:
        """Changes after `version`, for minutes; ends when the server closes the stream. In the caller's thread."""
        options = options | {"watch": True, "resource_version": version, "allow_watch_bookmarks": True}
        options |= {"timeout_seconds": _WATCH_S, "_request_timeout": (self._call_s, _WATCH_S + self._call_s)}
        response = self._request(group, verb, (self.namespace,), options)
        opened(response)
        buffer = b""
        try:
            for chunk in _reading(response):
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line.strip():
                        yield _checked(json.loads(line))
        finally:
            response.close()

    def _request(self, group: str, verb: str, names: tuple[Any, ...], options: dict[str, Any]) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            response = getattr(self._groups[group], verb)(*names, _preload_content=False, **options)
        except ApiException as error:
            raise _refused(error.status or 503, error.body, error.headers) from None
        except ValidationError as error:
            causes = tuple((".".join(map(str, each["loc"])), each["msg"]) for each in error.errors())
            raise ApiRefused(422, "Invalid", "the client does not take it", causes) from None
        except (HTTPError, OSError) as error:
            raise ApiRefused(503, "Unreachable", " ".join(str(error).split())[:300]) from None
        if response.status >= 300:
            raise _refused(response.status, response.data, response.headers)
        return response

    def _put_token(self, settings: Any) -> None:
        if self._token is not None:
            with self._reading:
                settings.api_key["BearerToken"] = "Bearer " + self._token.read_text().strip()


def _first_token(put: Callable[[], None]) -> None:
    try:
        put()
    except OSError as error:
        message = f"the service account's token cannot be read: {error}"
        step = "Give the pod a service account with its token mounted (automountServiceAccountToken)."
        raise FailedPrecondition(message, reason="NO_CLUSTER", field="token", next_step=step) from None


def _load_file(config: Any, settings: Any) -> None:
    """As kubectl finds it."""
    path = os.environ.get("KUBECONFIG") or None
    try:
        config.load_kube_config(config_file=path, client_configuration=settings)
    except (config.ConfigException, OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise FailedPrecondition(
            f"this is no pod of a cluster, and the file {path or '~/.kube/config'} tells of none: {error}",
            reason="NO_CLUSTER",
            field="KUBECONFIG",
            next_step="Set KUBECONFIG to a file that kubectl works with, or AGENTFORGE_LAUNCHER=local.",
        ) from None


def _reading(response: Any) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        yield from response.stream(None, decode_content=False)
    except (
        HTTPError,
        OSError,
        ValueError,
        AttributeError,
    ) as error:  # the last two: it was closed by another thread
        raise ApiRefused(503, "WatchBroken", " ".join(str(error).split())[:300]) from None


def _checked(change: Object) -> Object:
    if change["type"] == "ERROR":
        status = change["object"]
        raise ApiRefused(
            int(status.get("code", 500)), str(status.get("reason", "")), str(status.get("message", ""))
        )
    return change


def _refused(status: int, body: Any, headers: Any) -> ApiRefused:
    try:
        said = json.loads(body)
        causes = (said.get("details") or {}).get("causes") or ()
        told = tuple((str(cause.get("field", "")), str(cause.get("message", ""))) for cause in causes)
        refused = ApiRefused(status, str(said.get("reason", "")), str(said.get("message", "")), told)
    except (ValueError, TypeError, AttributeError):
        refused = ApiRefused(status, "", str(body)[:300])
    after = str((headers or {}).get("Retry-After", ""))
    refused.after_s = float(after) if after.isdecimal() else 0.0
    return refused
