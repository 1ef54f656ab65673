"""A FAKE Kubernetes API server, Job controller, garbage collector and kubelet, for tests of the launcher.

Real: HTTP over a socket (the real `kubernetes` client talks to it), real processes for containers, SIGTERM, grace,
SIGKILL. Shapes are those of the documented API, 1.31 and later; Jobs that come in are checked with
`kubernetes-validate` against the four newest minors it knows.

It does not: schedule by resources (tests say what becomes of a pod), pull images, isolate processes, give pods a
network or names (a pod's name in a command is replaced by 127.0.0.1), run admission plugins, TLS or RBAC
(`Faults.forbidden` names what is refused), retry pods (every Job of ours has backoffLimit 0), or honour TTLs.
"""

from tests.fakes.kubernetes_api.server import FakeCluster

__all__ = ["FakeCluster"]
