"""``reconciler logs``: which file has what a container wrote, and its lines.

Logs are files in the state directory, so they can be read whether or not a reconciler runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from reconciler.cli import exits
from reconciler.cli.cluster import Cluster, require, targets
from reconciler.drivers.runtime import logs
from reconciler.live.client import NotRunningError
from reconciler.live.logs import attempt_of, has_ended, log_file
from state import selectors
from state.errors import StateError
from state.objects import (
    AnyObject,
    DaemonSet,
    Deployment,
    Job,
    Pod,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)
from state.snapshot import Key, Snapshot
from state.times import format_micro_time

#: How often it is asked whether a container that is followed has ended, in seconds.
_ASK_SECONDS = 0.5


class Log:
    """The log of one instance of a container. ``target``: a pod's name, or TYPE/NAME of a pod or its workload."""

    def __init__(self, cluster: Cluster, target: str, namespace: str, container: str, *, previous: bool) -> None:
        self._cluster = cluster
        snapshot = cluster.state()
        words = (target,) if "/" in target else ("pod", target)
        (key,) = targets(words, namespace, snapshot)
        pod = _pod(require(key, snapshot), snapshot)
        self._key = Key.of(pod)
        self._uid = pod.metadata.uid
        self._container = container or _first(pod)
        names = [each.name for each in (*pod.spec.containers, *pod.spec.init_containers)]
        if self._container not in names:
            msg = f"container {self._container} is not valid for pod {pod.metadata.name}: it has {', '.join(names)}"
            raise StateError(msg)
        self._attempt = attempt_of(pod, self._container, previous=previous)
        #: The file; it isn't there before the container wrote anything.
        self.path = log_file(cluster.directory.logs, pod, self._container, self._attempt)
        self._asked_at = 0.0
        self._has_ended = False

    def lines(self, *, follow: bool, tail: int | None, timestamps: bool) -> Iterator[str]:
        """The lines, as text."""
        found = logs.follow(self.path, self._ended, tail) if follow else logs.read(self.path, tail)
        for line in found:
            text = line.text.decode(errors="replace")
            yield f"{format_micro_time(line.at)} {text}" if timestamps else text

    def _ended(self) -> bool:
        """Whether nothing more will be written: the instance has ended, or nobody would know."""
        if time.monotonic() - self._asked_at < _ASK_SECONDS:
            return self._has_ended
        self._asked_at = time.monotonic()
        try:
            with self._cluster.client() as client:
                pod = client.state(("Pod",)).get(self._key)
        except NotRunningError:
            pod = None
        self._has_ended = (
            not isinstance(pod, Pod) or pod.metadata.uid != self._uid or has_ended(pod, self._container, self._attempt)
        )
        return self._has_ended


def _first(pod: Pod) -> str:
    names = [container.name for container in pod.spec.containers]
    if len(names) > 1:
        exits.warning(f"the pod has the containers {', '.join(names)}; this is the first one (-c says which)")
    return names[0]


def _pod(obj: AnyObject, snapshot: Snapshot) -> Pod:
    """The pod itself, or one of a workload: one that is ready if possible, then the first by name."""
    if isinstance(obj, Pod):
        return obj
    if isinstance(obj, ReplicationController):
        selector = selectors.parse(",".join(f"{name}={value}" for name, value in sorted(obj.spec.selector.items())))
    elif isinstance(obj, Deployment | ReplicaSet | StatefulSet | DaemonSet | Job) and obj.spec.selector is not None:
        selector = selectors.from_object(obj.spec.selector)
    else:
        raise StateError(f"{Key.of(obj)} has no pods of its own: expected a pod or a workload")
    pods = [
        pod
        for pod in snapshot.objects("Pod")
        if isinstance(pod, Pod)
        and pod.metadata.namespace == obj.metadata.namespace
        and selector.matches(pod.metadata.labels)
    ]
    if not pods:
        raise StateError(f"{Key.of(obj)} has no pods")
    pods.sort(key=lambda pod: (pod.metadata.deletion_timestamp is not None, not pod.status.container_statuses))
    if len(pods) > 1:
        exits.warning(f"found {len(pods)} pods, using pod/{pods[0].metadata.name}")
    return pods[0]
