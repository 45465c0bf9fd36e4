"""Endpoints and EndpointSlices of services with a selector, as kube-controller-manager's two controllers keep them.

One changed pod costs a look at that pod and a new version of the slice it is in, not at all pods of the service; for
that the concern knows what each pod is to each service and in which slice it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rules.actions import Fact
from rules.backends import Backend, ServiceView, backend_of
from rules.concern import Touched
from rules.context import Context
from rules.endpoint_places import CONTROLLER, MANAGED_BY, SERVICE_NAME, SlicePlaces
from rules.endpoint_slices import Arrangement, Content, Group, Wanted, arrange
from rules.endpoint_subsets import subsets_of, truncated
from rules.engine import Rule, m
from rules.methods import MethodConcern, clipped
from rules.ownership import controller_ref
from rules.pods import is_finished, ready_since
from rules.refusals import Backoff
from rules.service_fields import has_addresses, is_headless
from rules.topology_hints import TopologyHints, with_hints_of
from rules.trigger_times import stamped, triggered
from state import selectors
from state.objects import Endpoint, Endpoints, EndpointSlice, LabelSelector, Node, ObjectMeta, Pod, Service, replace
from state.snapshot import Change, Key, NsName
from state.times import SECOND
from state.workspace import Workspace

ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
ENDPOINTS_CONTROLLER = "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


@dataclass(slots=True)
class _Known:
    """What is known of one service."""

    view: ServiceView
    #: What each unfinished pod that the selector matches is to the service: None as long as it has no address.
    backends: dict[str, Backend | None] = field(default_factory=dict)
    ready: int = 0
    #: Pods with an address that are in no slice: their node is absent, or their address of another family.
    left_out: int = 0
    #: Pods to look at anew; and pods looked at that may have to be published anew.
    changed: set[str] = field(default_factory=set)
    unpublished: set[str] = field(default_factory=set)
    #: Something else may have to be published anew: labels, an object that somebody changed.
    stale: bool = True


class EndpointPublication(MethodConcern):
    """Publishes which pods stand behind a service."""

    name: ClassVar[str] = "endpoints"
    subjects: ClassVar[Sequence[str]] = ("Service",)
    backoff: ClassVar[Backoff] = Backoff(first=SECOND, most=15)

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[NsName, _Known] = {}
        self._slices = SlicePlaces()
        self._hints = TopologyHints()
        #: The services that selected the last pod: those that follow often have the same labels object.
        self._last: tuple[str, Mapping[str, str], list[Key]] = ("", {}, [])
        self._writing = False

    def attach(self, ws: Workspace) -> None:
        """Forgets everything, and finds out where the slices have what."""
        self._known.clear()
        self._last = ("", {}, [])
        self._slices = SlicePlaces()
        self._hints = TopologyHints()
        for ns_name, slice_ in ws.table("EndpointSlice").items():
            self._slices.advance(Change(Key("EndpointSlice", *ns_name), None, slice_))

    # -- what makes a service due ----

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Pods and nodes, and the objects published, in case that somebody else deletes them or changes a slice."""
        return {
            "Service": self._service_touched,
            "Pod": self._pod_touched,
            "Node": self._node_touched,
            "Endpoints": self._endpoints_touched,
            "EndpointSlice": self._slice_touched,
        }

    def _service_touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        """The service. What is known of its pods is no good once it selects others, be it for a moment."""
        self._last = ("", {}, [])
        service, new = change.key.ns_name, change.new
        known = self._known.get(service)
        if known is not None and not (isinstance(new, Service) and ServiceView(new).decisive == known.view.decisive):
            del self._known[service]
        if new is None:
            self._hints.forget(service)
            return ()
        return self._stale(service)

    def _stale(self, service: NsName) -> Iterable[Key]:
        known = self._known.get(service)
        if known is not None:
            known.stale = True
        return (Key("Service", *service),)

    def _pod_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        old, new = change.old, change.new
        assert old is None or isinstance(old, Pod)
        assert new is None or isinstance(new, Pod)
        keys: list[Key] = []
        if new is not None:
            if old is not None and _alike(old, new):
                return ()
            keys = self._selecting(ws, new)
        if old is not None and (new is None or old.metadata.labels != new.metadata.labels):
            keys = [*keys, *self._selecting(ws, old)]
        for key in keys:
            known = self._known.get(key.ns_name)
            if known is not None:
                known.changed.add(change.key.name)
        return keys

    def _selecting(self, ws: Workspace, pod: Pod) -> list[Key]:
        namespace, labels = pod.metadata.namespace, pod.metadata.labels
        if labels is not self._last[1] or namespace != self._last[0]:
            self._last = (namespace, labels, ws.indexes.selecting(namespace, labels, ("Service",)))
        return self._last[2]

    def _node_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        """A node that comes, goes or moves to another zone: the services of its pods. One that is worth more or less to
        its zone: those with hints by topology.
        """
        old, new = change.old, change.new
        for service in self._hints.advance(change):
            yield from self._stale(service)
        if old is not None and new is not None and old.metadata.labels == new.metadata.labels:
            return
        for pod in ws.pods_on(change.key.name):
            for key in self._selecting(ws, pod):
                known = self._known.get(key.ns_name)
                if known is not None:
                    known.changed.add(pod.metadata.name)
                yield key

    def _endpoints_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        """Endpoints that are gone are made anew; what else somebody does to them stays until there is news of a pod."""
        service = change.key.ns_name
        return self._stale(service) if change.new is None and service in ws.table("Service") else ()

    def _slice_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        keys: list[Key] = []
        for service, pods in self._slices.advance(change):
            if self._writing or service not in ws.table("Service"):
                continue
            keys.extend(self._stale(service))
            known = self._known.get(service)
            if known is not None:
                known.changed |= pods
        return keys

    # -- what is to be published ----

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """How many pods stand behind the service, and whether something is to be published; None without a selector."""
        service = ws.find(Service, key.namespace, key.name)
        if service is None or not service.spec.selector or not has_addresses(service.spec):
            self._known.pop(key.ns_name, None)
            return None
        known = self._look(ws, service)
        pods = len(known.backends)
        return {
            "name": key.name,
            "namespace": key.namespace,
            "selector": clipped(",".join(f"{label}={value}" for label, value in sorted(service.spec.selector.items()))),
            "pods": pods,
            "ready": known.ready,
            "unready": pods - known.ready,
            "left_out": known.left_out,
            "stale": known.stale or bool(known.unpublished),
        }

    def _look(self, ws: Workspace, service: Service) -> _Known:
        """Brings what is known of the service up to date."""
        ns_name = (service.metadata.namespace, service.metadata.name)
        known = self._known.get(ns_name)
        selector = service.spec.selector
        view = ServiceView(service)
        if known is None or known.view.decisive != view.decisive:
            known = self._known[ns_name] = _Known(view)
            self._hints.follow(ns_name, asks=view.by_topology)
            wanted = selectors.from_object(LabelSelector(match_labels=selector))
            known.changed.update(pod.metadata.name for pod in ws.pods_matching(ns_name[0], wanted))
            known.changed.update(self._slices.places(ns_name))
        places = self._slices.places(ns_name)
        for name in known.changed:
            if self._look_at(ws, known, name, selector) or name in places:
                known.unpublished.add(name)
        known.changed.clear()
        return known

    @staticmethod
    def _look_at(ws: Workspace, known: _Known, name: str, selector: Mapping[str, str]) -> bool:
        """Finds out what a pod is to the service; returns whether it was or is an endpoint."""
        before = known.backends.pop(name, None)
        pod = ws.find(Pod, known.view.namespace, name)
        after = None
        if pod is not None and not is_finished(pod) and selector.items() <= pod.metadata.labels.items():
            after = backend_of(known.view, pod, ws.find(Node, "", pod.spec.node_name or ""))
            known.backends[name] = after
        known.ready += (after is not None and after.ready) - (before is not None and before.ready)
        known.left_out += (after is not None and not after.endpoints) - (before is not None and not before.endpoints)
        return before is not None or after is not None

    # -- consequents ----

    def _publish(self, ctx: Context, key: Key, _: Fact) -> None:
        service = ctx.ws.must(Service, key)
        known = self._known[key.ns_name]
        self._writing = True
        try:
            _publish_endpoints(ctx, service, known, self._publish_slices(ctx, service, known))
        finally:
            self._writing = False
        known.unpublished.clear()
        known.stale = False

    def _publish_slices(self, ctx: Context, service: Service, known: _Known) -> str | None:
        """Writes the slices; returns when that happened which they are written for, if it is known."""
        namespace, name = service.metadata.namespace, service.metadata.name
        slices: dict[str, EndpointSlice] = {}
        for slice_name in self._slices.slices((namespace, name)):
            slice_ = ctx.ws.find(EndpointSlice, namespace, slice_name)
            assert slice_ is not None
            if any(owner.uid == service.metadata.uid for owner in slice_.metadata.owner_references):
                slices[slice_name] = slice_
            else:
                ctx.delete(slice_)
        places = self._slices.places((namespace, name))
        touched = {place for pod in known.unpublished for place in places.get(pod, ())}
        wanted: Wanted = _wanted(known)
        if known.view.by_topology:
            wanted = with_hints_of(wanted, [slices[place] for place in sorted(touched) if place in slices])
        result = arrange(known.view.families, slices, touched, known.unpublished, wanted)
        before = len(ctx.actions)
        outcomes = self._hints.give(ctx.ws, known.view, slices, result)
        at = triggered(ctx.ws, service, slices, result)
        _write_slices(ctx, service, slices, result, at)
        self._hints.tell(ctx, known.view, outcomes, news=len(ctx.actions) > before)
        return at

    def _leave(self, ctx: Context, _key: Key, _fact: Fact) -> None:
        ctx.note(without="stale")

    rules: ClassVar[Sequence[Rule]] = (
        Rule(
            name="endpoints-publish",
            when=m.stale == True,  # noqa: E712 - durable-rules' own expressions
            then=_publish,
            why="{pods} pods match {selector}, the selector of service {name}; {ready} of them are ready",
        ),
        Rule(
            name="endpoints-no-pods",
            when=m.pods == 0,
            then=_leave,
            why="service {name} has no endpoints: no pod matches its selector {selector}",
        ),
        Rule(
            name="endpoints-unready",
            when=m.unready > 0,
            then=_leave,
            why="{ready} of {pods} pods of service {name} are ready",
        ),
        Rule(
            name="endpoints-left-out",
            when=m.left_out > 0,
            then=_leave,
            why="{left_out} of {pods} pods of service {name} are in no EndpointSlice: "
            "their node is not there, or their address is of another family",
        ),
    )


def _alike(old: Pod, new: Pod) -> bool:
    """Whether a pod that changed is the same to every service."""
    if old.metadata.labels is not new.metadata.labels and old.metadata.labels != new.metadata.labels:
        return False
    before, after = old.status, new.status
    if is_finished(old) != is_finished(new):
        return False
    if not before.pod_ip and not after.pod_ip:
        return True
    same_status = before is after or (
        before.pod_ip == after.pod_ip
        and before.pod_ips == after.pod_ips
        and (ready_since(before) is None) == (ready_since(after) is None)
    )
    same_spec = old.spec is new.spec or (
        old.spec.node_name == new.spec.node_name
        and old.spec.containers == new.spec.containers
        and (old.spec.hostname, old.spec.subdomain) == (new.spec.hostname, new.spec.subdomain)
    )
    ending = (old.metadata.deletion_timestamp is None) != (new.metadata.deletion_timestamp is None)
    return same_status and same_spec and not ending and old.metadata.uid == new.metadata.uid


def _wanted(known: _Known) -> dict[Group, dict[str, Endpoint]]:
    """The endpoints of the pods to be published, in the order of their names."""
    wanted: dict[Group, dict[str, Endpoint]] = {}
    for name in sorted(known.unpublished):
        backend = known.backends.get(name)
        if backend is not None:
            for family, endpoint in backend.endpoints.items():
                wanted.setdefault((family, backend.ports.of_slice), {})[name] = endpoint
    return wanted


def _labels(service: Service, reserved: Container[str], own: Mapping[str, str]) -> dict[str, str]:
    """The labels of what is published for a service: the service's but for the reserved ones, and the object's own."""
    copied = {label: value for label, value in service.metadata.labels.items() if label not in reserved}
    return {**copied, **own, **({HEADLESS: ""} if is_headless(service.spec) else {})}


def _write_slices(
    ctx: Context, service: Service, slices: Mapping[str, EndpointSlice], result: Arrangement, at: str | None
) -> None:
    own = {MANAGED_BY: CONTROLLER, SERVICE_NAME: service.metadata.name}
    labels = _labels(service, (HEADLESS, *own), own)
    for fresh in result.create if service.metadata.deletion_timestamp is None else ():
        made = _slice(service, labels, fresh)
        ctx.create(replace(made, metadata=stamped(made.metadata, at)))
    for name, slice_ in slices.items():
        content = result.update.get(name)
        changed = (
            slice_
            if slice_.metadata.labels == labels
            else replace(slice_, metadata=replace(slice_.metadata, labels=labels))
        )
        if content is not None:
            changed = replace(changed, ports=content.ports, endpoints=tuple(content.endpoints))
        if changed != slice_ and name not in result.delete:
            ctx.update(replace(changed, metadata=stamped(changed.metadata, at)))
    for name in result.delete:
        ctx.delete(slices[name])


def _slice(service: Service, labels: dict[str, str], content: Content) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(
            generate_name=f"{service.metadata.name}-",
            namespace=service.metadata.namespace,
            labels=labels,
            owner_references=(controller_ref(service),),
        ),
        address_type=content.address_type,
        ports=content.ports,
        endpoints=tuple(content.endpoints),
    )


def _publish_endpoints(ctx: Context, service: Service, known: _Known, at: str | None) -> None:
    meta = service.metadata
    every = subsets_of(backend for backend in known.backends.values() if backend is not None)
    subsets = truncated(every)
    labels = _labels(service, (HEADLESS,), {ENDPOINTS_MANAGED_BY: ENDPOINTS_CONTROLLER})
    live = ctx.ws.find(Endpoints, meta.namespace, meta.name)
    annotations = {} if live is None else dict(live.metadata.annotations)
    annotations.pop(OVER_CAPACITY, None)
    if subsets is not every:
        annotations[OVER_CAPACITY] = "truncated"
    if live is None:
        fresh = ObjectMeta(name=meta.name, namespace=meta.namespace, labels=labels, annotations=annotations)
        ctx.create(Endpoints(metadata=stamped(fresh, at), subsets=subsets))
        return
    changed = replace(live, metadata=replace(live.metadata, labels=labels, annotations=annotations), subsets=subsets)
    if changed != live:
        ctx.update(replace(changed, metadata=stamped(changed.metadata, at)))
