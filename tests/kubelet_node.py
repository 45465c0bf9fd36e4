"""A node in virtual time for tests: a kubelet on simulated drivers, and the API objects that it serves."""

import msgspec

from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.simulated import FOREVER, SimulatedRuntime
from reconciler.kubelet import Kubelet, SimulatedWorkers
from reconciler.volumes import VirtualHost
from state.objects import KINDS, Pod, decode_hook, replace
from state.times import format_time

SECOND = 1_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


def make(kind, name, namespace="default", **body):
    """An object from its manifest's parts."""
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", **body.pop("metadata", {})}
    return msgspec.convert({"metadata": metadata, **body}, KINDS[kind].type, dec_hook=decode_hook)


def make_pod(name="web", containers=({"name": "c", "image": "app:1"},), metadata=None, **spec):
    """A pod bound to node n1."""
    body = {"nodeName": "n1", "containers": list(containers), **spec}
    return make("Pod", name, metadata=metadata or {}, spec=body)


class SimulatedNode:
    """``behave`` maps a container's name (or "name/attempt") to its Behaviour; ``answer`` replaces the workers'
    answers.
    """

    def __init__(self, *pods, behave=None, answer=None, objects=()):
        self.clock = VirtualClock(START)
        self.behave = behave or {}
        self.answer = answer
        self.runtime = SimulatedRuntime(self.clock, self._behaviour)
        self.network = SimulatedNetwork()
        self.tables = {}
        self.events = []
        self.operations = []
        self.finished = []
        self.statuses = []
        self.put(make("Node", "n1", "", status={"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}))
        for obj in (*objects, *pods):
            self.put(obj)
        self.restart()

    def _behaviour(self, sandbox, config):
        return self.behave.get(f"{config.name}/{config.attempt}", self.behave.get(config.name, FOREVER))

    def restart(self):
        """A new kubelet on the same drivers, as after a kill."""
        self.kubelet = Kubelet(
            "n1",
            runtime=self.runtime,
            network=self.network,
            storage=None,
            volumes=VirtualHost(),
            workers=SimulatedWorkers(self.runtime, self.clock, self.answer),
        )
        self.runtime._changed.update(s.config.uid for s in self.runtime.list_pod_sandboxes())

    def put(self, obj):
        meta = obj.metadata
        self.tables.setdefault(obj.kind, {})[meta.namespace, meta.name] = obj

    def remove(self, kind, name, namespace="default"):
        del self.tables[kind][namespace, name]

    def pod(self, name="web"):
        return self.tables["Pod"]["default", name]

    def status(self, name="web"):
        return self.pod(name).status

    def container(self, name="c", pod="web"):
        status = self.status(pod)
        return next(c for c in (*status.init_container_statuses, *status.container_statuses) if c.name == name)

    def condition(self, kind, pod="web"):
        return next(c for c in self.status(pod).conditions if c.type == kind)

    def sync(self):
        """One call; statuses are stored, finished pods removed as the API server would."""
        pods = [pod for pod in self.tables.get("Pod", {}).values() if isinstance(pod, Pod)]
        result = self.kubelet.sync(pods, lambda kind: self.tables.get(kind, {}), self.clock.now())
        self.events += [(event.reason, event.message) for event in result.events]
        self.operations += [(self.seconds(), str(key), op) for key, op in result.operations]
        for update in result.updates.values():
            self.statuses.append((self.seconds(), update.pod.metadata.name, update.status))
            meta = update.pod.metadata
            if update.finished:
                self.finished.append(meta.name)
                if not meta.finalizers:
                    self.remove("Pod", meta.name)
            elif ("default", meta.name) in self.tables["Pod"]:
                self.put(replace(self.pod(meta.name), status=update.status))
        return result

    def run(self, seconds=0):
        """Lets time pass, from one thing that is due to the next."""
        end = self.clock.now() + round(seconds * SECOND)
        self.sync()
        while True:
            due = self.kubelet.next_due()
            if due is None or due > end:
                break
            self.clock.set(max(due, self.clock.now()))
            self.sync()
        self.clock.set(end)
        self.sync()

    def seconds(self):
        return (self.clock.now() - START) / SECOND

    def delete(self, name="web", grace=None):
        """As ``kubectl delete`` leaves the object."""
        pod = self.pod(name)
        if grace is None:
            own = pod.spec.termination_grace_period_seconds
            grace = 30 if own is None else own
        meta = replace(
            pod.metadata,
            deletion_timestamp=format_time(self.clock.now() + grace * SECOND),
            deletion_grace_period_seconds=grace,
        )
        self.put(replace(pod, metadata=meta))

    def did(self, verb, container=None):
        """When an operation was done, in seconds."""
        return [
            at for at, _, op in self.operations if op.verb == verb and (container is None or op.container == container)
        ]

    def told(self, reason):
        """The messages of events with that reason."""
        return [message for told, message in self.events if told == reason]
