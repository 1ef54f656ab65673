"""A copy of the cluster's Jobs or pods of one phase, kept fresh by a watch: looking at it costs no call."""

from __future__ import annotations

import logging
import threading
from typing import Any

from agentforge.kit.cluster.api import Api, ApiRefused, Object, Pause

_GONE_KEPT = 512  # last words of objects that were deleted between two looks
_log = logging.getLogger(__name__)


class Mirror:
    """`put` what a call returned; the watch may know it later than we do."""

    def __init__(self, api: Api, group: str, verb: str, selector: str) -> None:
        self._api, self._group, self._verb = api, group, verb
        self._options = {"label_selector": selector}
        self._objects: dict[str, Object] = {}
        self._gone: dict[str, Object] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._response: Any = None
        # A thread of its own: a watch waits for minutes, and the loop's threads are few.
        self._thread = threading.Thread(target=self._follow, name=verb, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        response = self._response
        if response is not None:
            _hang_up(response)
        self._thread.join(1.0)

    def get(self, uid: str) -> Object | None:
        with self._lock:
            return self._objects.get(uid)

    def owned(self, uid: str) -> list[Object]:
        """All that belongs to the object with that uid; of what is gone the last that was seen."""
        with self._lock:
            every = [*self._gone.values(), *self._objects.values()]
        return [each for each in every if any(o["uid"] == uid for o in each["metadata"].get("ownerReferences", ()))]

    def put(self, *found: Object) -> None:
        with self._lock:
            for each in found:
                uid = each["metadata"]["uid"]
                if uid not in self._gone:  # the watch may have heard of its end before we have the answer in hand
                    self._objects[uid] = each

    def forget(self, uid: str) -> None:
        with self._lock:
            self._drop(uid)

    def _drop(self, uid: str, last: Object | None = None) -> None:
        seen = self._objects.pop(uid, None)
        last = last or seen
        if last is not None:
            self._gone[uid] = last
        while len(self._gone) > _GONE_KEPT:
            del self._gone[next(iter(self._gone))]

    def _follow(self) -> None:
        version, pause = "", Pause()
        while not self._over.is_set():
            try:
                version = version or self._list()
                version = self._watch(version)
                pause = Pause()
            except ApiRefused as error:
                if self._over.is_set():
                    return
                if error.status == 410:  # the server has forgotten what came after our version
                    version = ""
                _log.log(logging.DEBUG if error.passes else logging.WARNING, "%s: %s", self._verb, error)
                self._over.wait(pause.next(error.after_s))
            except Exception:  # an answer that is none: a proxy's page, half a line
                _log.exception("%s: the watch begins again", self._verb)
                version = ""
                self._over.wait(pause.next())

    def _list(self) -> str:
        listed = self._api.ask(self._group, self._verb, self._api.namespace, **self._options)
        fresh = {each["metadata"]["uid"]: each for each in listed["items"]}
        with self._lock:
            for uid in set(self._objects) - set(fresh):
                self._drop(uid)
            self._objects.update(fresh)
        return str(listed["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        for change in self._api.watch(self._group, self._verb, version, self._options, self._opened):
            found = change["object"]
            version = str(found["metadata"]["resourceVersion"])
            if change["type"] == "DELETED":
                with self._lock:
                    self._drop(found["metadata"]["uid"], found)
            elif change["type"] != "BOOKMARK":
                self.put(found)
        return version

    def _opened(self, response: Any) -> None:
        self._response = response
        if self._over.is_set():
            _hang_up(response)


def _hang_up(response: Any) -> None:
    """Wake the thread that reads it: closing alone does not."""
    import socket

    connection = getattr(response, "connection", None) or getattr(response, "_connection", None)
    plug = getattr(connection, "sock", None)
    if plug is not None:
        try:
            plug.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
