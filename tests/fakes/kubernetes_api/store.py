"""Objects with resource versions, and the changes that watches are fed with."""

from __future__ import annotations

import copy
import datetime
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
KINDS = {"jobs": "Job", "pods": "Pod", "services": "Service", "events": "Event", "configmaps": "ConfigMap"}


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Conflict(Exception):
    pass


class Expired(Exception):
    """410: what came after that version is forgotten."""


class Store:
    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 100
        self.forgotten = 0  # versions up to this one cannot be watched from
        self._objects: dict[tuple[str, str], Object] = {}
        self._history: list[tuple[int, str, str, Object]] = []

    def add(self, plural: str, found: Object) -> Object:
        with self.changed:
            metadata = found["metadata"]
            if (plural, metadata["name"]) in self._objects:
                raise Conflict(metadata["name"])
            metadata["uid"], metadata["creationTimestamp"] = str(uuid.uuid4()), now()
            found.setdefault("kind", KINDS[plural])
            return self._put(plural, "ADDED", found)

    def update(self, plural: str, found: Object) -> Object:
        with self.changed:
            assert (plural, found["metadata"]["name"]) in self._objects
            return self._put(plural, "MODIFIED", found)

    def remove(self, plural: str, name: str) -> None:
        with self.changed:
            found = self._objects.pop((plural, name), None)
            if found is not None:
                self._record(plural, "DELETED", found)

    def get(self, plural: str, name: str) -> Object | None:
        with self.changed:
            return copy.deepcopy(self._objects.get((plural, name)))

    def list(self, plural: str) -> list[Object]:
        with self.changed:
            return [copy.deepcopy(found) for (kind, _), found in sorted(self._objects.items()) if kind == plural]

    def has(self, uid: str) -> bool:
        with self.changed:
            return any(found["metadata"]["uid"] == uid for found in self._objects.values())

    def changes(self, plural: str, after: int, until: float) -> Iterator[tuple[str, Object]]:
        """Until that moment of the monotonic clock."""
        while True:
            with self.changed:
                if after < self.forgotten:
                    raise Expired
                fresh = [change for change in self._history if change[0] > after]
                if not fresh:
                    left = until - time.monotonic()
                    if left <= 0:
                        return
                    self.changed.wait(min(left, 0.2))
                    continue
            for version, what, kind, found in fresh:
                after = version
                if kind == plural:
                    yield what, found

    def _put(self, plural: str, what: str, found: Object) -> Object:
        found = copy.deepcopy(found)
        self._objects[plural, found["metadata"]["name"]] = found
        self._record(plural, what, found)
        return copy.deepcopy(found)

    def _record(self, plural: str, what: str, found: Object) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self._history.append((self.version, what, plural, copy.deepcopy(found)))
        self.changed.notify_all()
