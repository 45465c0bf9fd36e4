"""Replays recordings of a real control plane (tests/golden/controllers) against concerns.

``Player(case, concerns).play()`` carries out the steps of a case on a ``Cycle`` with a stand-in scheduler and kubelet
and a virtual clock; ``player.snapshots`` then holds what the case recorded, in the recording's own form, and
``player.mismatches()`` says where the two differ.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from recorded_form import (
    NAMESPACE,
    Json,
    alike,
    api_version,
    cluster,
    node,
    normal,
    parse_path,
    patched,
    same,
    show,
)

from reconciler.cycle import Cycle
from rules.concern import Concern
from rules.pods import is_active, is_ready
from rules.registry import prepared
from rules.revisions import revision
from rules.strategies import prepare_status, prepare_update, traits_of
from state import selectors
from state.defaults import default
from state.dump import dump
from state.load import from_dict
from state.objects import (
    AnyObject,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
    Node,
    Pod,
    PodCondition,
    PodIP,
    ReplicaSet,
    find_kind,
    replace,
)
from state.snapshot import Change, Key, Snapshot
from state.times import SECOND, format_time, parse_time

START = parse_time("2026-01-01T00:00:00Z")
CASES = Path(__file__).parent / "golden" / "controllers"
#: Kinds that the recorder always found in a namespace and left out of most listings.
_ALWAYS_THERE = {"ServiceAccount": "default", "ConfigMap": "kube-root-ca.crt"}
_NTH = re.compile(r"(.*)<#(\d+)>")


def load_case(name: str) -> Json:
    """The recording of that name."""
    case: Json = json.loads((CASES / f"{name}.json").read_text())
    return case


def case_names(*prefixes: str) -> list[str]:
    """The recordings kept here whose names begin with one of the prefixes."""
    return sorted(path.stem for path in CASES.glob("*.json") if path.stem.startswith(prefixes))


class Player:
    """One replay. ``changes`` are all new values of a ReplicaSet's spec.replicas, in order."""

    def __init__(self, case: Json, concerns: Sequence[Concern]) -> None:
        self.case = case
        self.mode: str = case["kubelet"]
        self.now = START
        self.cycle = Cycle(Snapshot.of(cluster()), concerns)
        self.ws = self.cycle.ws
        self.ctx = self.cycle.ctx
        self.snapshots: Json = {}
        self.changes: list[dict[str, int]] = []
        #: Names of deleted pods, one list for each settle that deleted any.
        self.deleted: list[list[str]] = []
        #: What each step of ``roll_out`` brought about.
        self.rolled: list[Json] = []
        self._deleted_now: list[str] = []
        self._generated: dict[str, list[str]] = {}
        self._addresses = 0
        self.ws.listen(self._watch)
        self.cycle.settle(self.now)

    # -- replay --------------------------------------------------------------------------------------------------------

    def play(self) -> Player:
        """Carries out all steps."""
        for index, step in enumerate(self.case["steps"]):
            self.step(step, self.case["expected"]["responses"].get(str(index), {}))
        return self

    def step(self, step: Json, response: Json) -> None:
        """Carries out one step; a request that the API server refused is left out."""
        op = step["op"]
        if op == "http":
            if response.get("code", 200) < 400:
                self._http(step)
        elif op == "settle":
            self.settle()
        elif op == "sleep":
            self.sleep(step["seconds"])
        elif op == "kubelet":
            self.mode = step["mode"]
        elif op == "podStatus":
            self._pod_status(step)
        elif op == "allPodsReady":
            self.all_pods_ready()
        elif op == "snapshot":
            self.snapshots[step["id"]] = {resource: self.listing(resource) for resource in step["resources"]}
        elif op == "node":
            self._create(dump(node(step["name"], step)))
        elif op == "record" and step.get("note", "").startswith("one not ready pod of the newest ReplicaSet"):
            self.roll_out()
        elif op == "kubectl" and step["args"][:2] == ["rollout", "restart"]:
            self._restart(step["args"][2].removeprefix("deployment/"))
        elif op not in ("record", "note", "kubectl"):
            raise AssertionError(f"unknown step {op!r}")

    def settle(self) -> None:
        """Lets controllers, scheduler and kubelet act until nothing changes; a second goes by."""
        self.sleep(1)
        if self._deleted_now:
            self.deleted.append(self._deleted_now)
            self._deleted_now = []

    def sleep(self, seconds: int) -> None:
        """Lets time go by; whoever asked to be woken meanwhile is."""
        until = self.now + seconds * SECOND
        self._quiet()
        while (at := self.cycle.wake_at) is not None and at <= until:
            self.now = max(self.now, at)
            self._quiet()
        self.now = until
        self._quiet()

    def _quiet(self) -> None:
        self.cycle.settle(self.now)
        while self._schedule() | self._kubelet():
            self.cycle.settle(self.now)

    def all_pods_ready(self) -> None:
        """Makes all bound pods ready, until nothing is left to be made ready."""
        while waiting := [pod for pod in self.ws.objects(Pod) if pod.spec.node_name and not is_ready(pod)]:
            for pod in waiting:
                self.report(pod, ready=True)
            self._quiet()

    def roll_out(self) -> None:
        """Makes one pod of the newest ReplicaSet ready and settles, until all are; notes each step's changes."""
        while waiting := self._not_ready_of_newest():
            before = len(self.changes)
            self.report(waiting[0], ready=True)
            self.settle()
            self.rolled.append({"changes": self.changes[before:], "spec.replicas": self.replicas()})

    def _not_ready_of_newest(self) -> list[Pod]:
        newest = max(self.ws.objects(ReplicaSet), key=revision)
        return [pod for pod in self.ws.owned(newest, Pod) if is_active(pod) and not is_ready(pod)]

    # -- the API server ------------------------------------------------------------------------------------------------

    def _http(self, step: Json) -> None:
        path, _, query = step["path"].partition("?")
        kind, name, sub = parse_path(path)
        body = step.get("body")
        method = step["method"]
        self.ctx.now = self.now
        self.ctx.because("recorded", {"method": method}, "{method}")
        if method == "POST":
            assert isinstance(body, dict)
            self._create({"kind": kind, "apiVersion": api_version(path), **body})
        elif method == "DELETE" and not name:
            for obj in self._selected(kind, query):
                self._delete(obj, body or {})
        elif method == "DELETE":
            self._delete(self._get(kind, name), body or {})
        elif method in ("PATCH", "PUT"):
            live = self._get(kind, name)
            before = dump(live)
            assert isinstance(body, dict)
            after = body if method == "PUT" else patched(before, body, strategic="strategic" in step["contentType"])
            self._update(live, after, sub)

    def _get(self, kind: str, name: str) -> AnyObject:
        found = self.ws.get(Key(kind, NAMESPACE, self._name(name))) or self.ws.get(Key(kind, "", name))
        assert found is not None, f"{kind} {name} does not exist"
        return found

    def _name(self, name: str) -> str:
        """The name of a generated object that a step calls ``prefix<#k>``: the k-th of the prefix."""
        nth = _NTH.fullmatch(name)
        return self._generated[nth[1]][int(nth[2])] if nth else name

    def _selected(self, kind: str, query: str) -> list[AnyObject]:
        text = query.removeprefix("labelSelector=").replace("%3D", "=").replace("%2C", ",")
        selector = selectors.parse(text)
        table = self.ws.table(kind)
        return [
            table[key] for key in sorted(table) if key[0] == NAMESPACE and selector.matches(table[key].metadata.labels)
        ]

    def _create(self, document: Json) -> None:
        meta = {"namespace": NAMESPACE, **document["metadata"]}
        kind = find_kind(document["kind"])
        if kind is not None and not kind.namespaced:
            meta.pop("namespace")
        if "ownerReferences" in meta:
            meta["ownerReferences"] = [self._owner(reference) for reference in meta["ownerReferences"]]
        obj = from_dict({**document, "metadata": meta})
        self.ctx.create(prepared(traits_of(type(obj)), obj, self.now))

    def _owner(self, reference: Json) -> Json:
        """An owner reference as sent, with ``<uid>`` replaced by the uid of the object named."""
        if reference["uid"] != "<uid>":
            return reference
        table = self.ws.table(reference["kind"])
        uids = [obj.metadata.uid for (_, name), obj in sorted(table.items()) if name == self._name(reference["name"])]
        return {**reference, "uid": uids[0]}

    def _update(self, live: AnyObject, document: Json, sub: str) -> None:
        new, traits = default(from_dict(document)), traits_of(type(live))
        if sub == "status":
            self.ctx.update_status(prepare_status(traits, new, live))
        else:
            self.ctx.update(prepare_update(traits, new, live))

    def _restart(self, name: str) -> None:
        """What ``kubectl rollout restart`` does: the template gets a new annotation."""
        live = self._get("Deployment", name)
        annotations = {"kubectl.kubernetes.io/restartedAt": format_time(self.now)}
        template = {"metadata": {"annotations": annotations}}
        self.ctx.now = self.now
        self.ctx.because("recorded", {"method": "PATCH"}, "{method}")
        self._update(live, patched(dump(live), {"spec": {"template": template}}), "")

    def _delete(self, obj: AnyObject, options: Json) -> None:
        self.ctx.delete(obj, options.get("gracePeriodSeconds"), policy=options.get("propagationPolicy"))

    # -- scheduler and kubelet -----------------------------------------------------------------------------------------

    def _schedule(self) -> bool:
        """Binds each pod that a node takes to the node with the fewest pods."""
        nodes = self.ws.objects(Node)
        pods = self.ws.objects(Pod)
        load = Counter(pod.spec.node_name for pod in pods)
        bound = False
        for pod in pods:
            if pod.spec.node_name or pod.metadata.deletion_timestamp or pod.spec.scheduling_gates:
                continue
            fits = [n for n in nodes if pod.spec.node_selector.items() <= n.metadata.labels.items()]
            if fits:
                name = min((load[n.metadata.name], n.metadata.name) for n in fits)[1]
                load[name] += 1
                self.ctx.now = self.now
                self.ctx.because("stand-in-scheduler", {"node": name}, "{node} has the fewest pods")
                self.ctx.bind(pod, name)
                bound = True
        return bound

    def _kubelet(self) -> bool:
        """Does to bound pods what the kubelet mode says; returns whether anything changed."""
        acted = False
        for pod in self.ws.objects(Pod):
            if not pod.spec.node_name:
                continue
            if pod.metadata.deletion_timestamp:
                if self.mode != "hold" and not pod.metadata.finalizers:
                    self.ws.remove(Key.of(pod))
                    acted = True
            elif pod.status.phase == "Pending" and self.mode != "none":
                phase = {"succeed": "Succeeded", "fail": "Failed"}.get(self.mode, "Running")
                self.report(pod, phase, ready=self.mode in ("auto", "hold"))
                acted = True
        return acted

    def _pod_status(self, step: Json) -> None:
        pod = self._get("Pod", step["pod"])
        assert isinstance(pod, Pod)
        since = self.now - step.get("readySecondsAgo", 0) * SECOND
        self.report(pod, step["phase"], ready=step["ready"], since=since, restarts=step.get("restartCount", 0))

    def report(
        self, pod: Pod, phase: str = "Running", *, ready: bool, since: int | None = None, restarts: int = 0
    ) -> None:
        """Stores what a kubelet would report of a pod."""
        at = format_time(self.now if since is None else since)
        status = "True" if ready else "False"
        conditions = {c.type: c for c in pod.status.conditions}
        for name in ("Initialized", "Ready", "ContainersReady"):
            value = "True" if name == "Initialized" else status
            if name not in conditions or conditions[name].status != value or since is not None:
                conditions[name] = PodCondition(type=name, status=value, last_transition_time=at)
        if pod.status.pod_ip is None:
            self._addresses += 1
        address = pod.status.pod_ip or f"10.0.{self._addresses // 250}.{self._addresses % 250 + 1}"
        self.ws.put(
            replace(
                pod,
                status=replace(
                    pod.status,
                    phase=phase,
                    conditions=tuple(conditions.values()),
                    container_statuses=_containers(pod, phase, ready=ready, restarts=restarts, at=at),
                    pod_ip=address,
                    pod_ips=(PodIP(ip=address),),
                    host_ip="192.0.2.1",
                    start_time=pod.status.start_time or at,
                ),
            )
        )

    # -- what is recorded ----------------------------------------------------------------------------------------------

    def _watch(self, change: Change) -> None:
        key, old, new = change
        if key.kind == "ReplicaSet" and new is not None:
            before = getattr(getattr(old, "spec", None), "replicas", None)
            after = new.spec.replicas
            if before != after:
                self.changes.append({key.name: after})
        if key.kind == "Pod" and old is not None and _gone(new) and not _gone(old):
            self._deleted_now.append(key.name)
        if old is None and new is not None and new.metadata.generate_name:
            self._generated.setdefault(new.metadata.generate_name, []).append(key.name)

    def replicas(self) -> dict[str, int]:
        """spec.replicas of each ReplicaSet."""
        return {name: rs.spec.replicas for (_, name), rs in sorted(self.ws.table("ReplicaSet").items())}

    def listing(self, resource: str) -> list[Json]:
        """The objects of a resource in the recording's full form."""
        found = find_kind(resource)
        assert found is not None, f"unknown resource {resource}"
        table = self.ws.table(found.name)
        names = sorted(key for key in table if key[0] in ("", NAMESPACE) and _ALWAYS_THERE.get(found.name) != key[1])
        return [normal(dump(table[key])) for key in names]

    def mismatches(self, ignore: Iterable[str] = ()) -> list[str]:
        """Where the snapshots taken differ from the recorded ones; ``ignore`` names resources."""
        found = []
        for snapshot, resources in self.snapshots.items():
            for resource, actual in resources.items():
                expected = self.case["expected"]["snapshots"][snapshot][resource]
                if resource not in ignore and not same(expected, actual):
                    here = show(alike(expected, actual))
                    found.append(f"{snapshot} {resource}:\n  recorded {show(expected)}\n  here     {here}")
        return found


def _containers(pod: Pod, phase: str, *, ready: bool, restarts: int, at: str) -> tuple[ContainerStatus, ...]:
    """One status for each container of the pod."""
    if phase in ("Succeeded", "Failed"):
        code = 0 if phase == "Succeeded" else 1
        state = ContainerState(terminated=ContainerStateTerminated(exit_code=code, started_at=at, finished_at=at))
    else:
        state = ContainerState(running=ContainerStateRunning(started_at=at))
    return tuple(
        ContainerStatus(
            name=c.name,
            image=c.image or "",
            ready=ready,
            restart_count=restarts,
            state=state,
            started=phase == "Running",
        )
        for c in pod.spec.containers
    )


def _gone(obj: AnyObject | None) -> bool:
    return obj is None or obj.metadata.deletion_timestamp is not None
