"""Workers as Kubernetes Jobs: one Indexed Job for each launch of a run, made by the phase's service.

**One Job at a time.** A Job's name is made of the phase, a digest of the run's place on the volume, and the
number of the launch: how often the run's log says QUEUED. The log is the same for every service, so two launchers
of one run make the same name, and the API server lets one of them have it; the other gets 409 and adopts. Before
it looks at the LOCK a service asks the API for Jobs of the run, because `flock` on a shared volume may not reach
across nodes, and because a Job that waits for its node holds no LOCK. A Job that is over, or was deleted, still
counts until its last pod has ended: the next one is made after that.

**Words while it waits.** The log's writer is who holds the LOCK, and the worker in the pod must get it. So the
service takes the LOCK only for the moment of one line ("waiting: 0/3 nodes are available: …"), only while no
container of the Job has started, and worker processes wait some seconds for it (AGENTFORGE_LOCK_WAIT_S). A side
file would have needed readers of its own; events reach everybody who watches a run.

**How it ended.** The log is believed first: a final state, or "interrupted", is how it ended, whatever torchrun's
exit code. Else the pods tell: exit code, OOMKilled, Evicted, node lost. The last lines come from the container's
termination message, so that no permission to read logs is needed; they are copied into the run's worker.log.
"""

from agentforge.kit.cluster.launcher import KubernetesLauncher

__all__ = ["KubernetesLauncher"]
