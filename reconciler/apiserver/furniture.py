"""What every cluster has beside its namespaces, and nobody here needs: who serves which part of the API (APIServices),
how requests are shared out (FlowSchemas and PriorityLevelConfigurations), where cluster IPs come from (ServiceCIDR).

They are made while the first requests are answered, and again if they are deleted. Changing them changes nothing:
there is one server for all of the API, and it takes requests as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.apiserver import wire
from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import make_missing
from reconciler.apiserver.discovery import AGGREGATOR, PRIORITIES, served_versions
from reconciler.apiserver.options import DeleteOptions
from reconciler.apiserver.resources import Place, Registry
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.writer import MANAGER
from rules.address_objects import SERVICE_CIDR
from state.objects import AnyObject
from state.times import format_time

Json = dict[str, Any]
_FLOW = "flowcontrol.apiserver.k8s.io/v1"
_CIDR = "kubernetes"
_AUTOMATIC = "kube-aggregator.kubernetes.io/automanaged"
#: Versions that aren't 15 among those of their group.
_VERSIONS = {"v1.": 1, "v1.flowcontrol.apiserver.k8s.io": 21, "v2.autoscaling": 30}
#: Shares of a priority level, the percentage that it lends, and its queues: how many, hand size, length.
_LEVELS: dict[str, tuple[int, int, tuple[int, int, int] | None]] = {
    "catch-all": (5, 0, None),
    "global-default": (20, 50, (128, 6, 50)),
    "leader-election": (10, 0, (16, 4, 50)),
    "node-high": (40, 25, (64, 6, 50)),
    "system": (30, 33, (64, 6, 50)),
    "workload-high": (40, 50, (128, 6, 50)),
    "workload-low": (100, 90, (128, 6, 50)),
}
_EVERYBODY = ("group:system:unauthenticated", "group:system:authenticated")
_ALL_PATHS: Json = {"nonResourceURLs": ["*"], "verbs": ["*"]}


def _on(verbs: str, groups: str, resources: str, *, is_cluster_scoped: bool = True) -> Json:
    """A rule of a FlowSchema on resources of all namespaces; words are separated by blanks."""
    words = {"verbs": verbs.split(), "apiGroups": [groups], "resources": resources.split(), "namespaces": ["*"]}
    return {**words, "clusterScope": True} if is_cluster_scoped else words


_ALL = (_on("*", "*", "*"), _ALL_PATHS)
_LEASES = "coordination.k8s.io"
_NODES = (_on("*", "", "nodes nodes/status"), _on("*", _LEASES, "leases", is_cluster_scoped=False))
_PROBES = ({"nonResourceURLs": ["/healthz", "/readyz", "/livez"], "verbs": ["get"]},)
_ELECTION = (_on("get create update", _LEASES, "leases", is_cluster_scoped=False),)
_MANAGER, _SCHEDULER = "user:system:kube-controller-manager", "user:system:kube-scheduler"
_ACCOUNTS = "account:kube-system:*"
#: By name: precedence, priority level, what tells flows apart, subjects and rules.
_SCHEMAS: dict[str, tuple[int, str, str, tuple[str, ...], tuple[Json, ...]]] = {
    "catch-all": (10_000, "catch-all", "ByUser", _EVERYBODY, _ALL),
    "exempt": (1, "exempt", "", ("group:system:masters",), _ALL),
    "global-default": (9_900, "global-default", "ByUser", _EVERYBODY, _ALL),
    "kube-controller-manager": (800, "workload-high", "ByNamespace", (_MANAGER,), _ALL),
    "kube-scheduler": (800, "workload-high", "ByNamespace", (_SCHEDULER,), _ALL),
    "kube-system-service-accounts": (900, "workload-high", "ByNamespace", (_ACCOUNTS,), _ALL),
    "probes": (2, "exempt", "", _EVERYBODY, _PROBES),
    "service-accounts": (9_000, "workload-low", "ByUser", ("group:system:serviceaccounts",), _ALL),
    "system-leader-election": (100, "leader-election", "ByUser", (_MANAGER, _SCHEDULER, _ACCOUNTS), _ELECTION),
    "system-node-high": (400, "node-high", "ByUser", ("group:system:nodes",), _NODES),
    "system-nodes": (500, "system", "ByUser", ("group:system:nodes",), _ALL),
}


def furnish(api: Api, cidrs: Sequence[str]) -> None:
    """Makes what is missing, and deletes what speaks of resources that aren't defined any more.

    Raises:
        ApiError, StoreError: the store takes nothing.
    """
    now = format_time(api.clock())
    make_missing(api, (*_levels(), *_schemas(now), *_services(api.registry, now), _cidr(cidrs)))
    _delete_services(api)
    _extend(api, list(cidrs))


def _condition(kind: str, status: str, now: str, reason: str, message: str) -> Json:
    told = {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    return {"conditions": [told]}


def _services(registry: Registry, now: str) -> Iterator[Json]:
    for group, versions in served_versions(registry).items():
        for version in versions:
            name, is_custom = f"{version}.{group}", group not in PRIORITIES
            if group == AGGREGATOR:
                continue
            yield {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": name, "labels": {_AUTOMATIC: "true" if is_custom else "onstart"}},
                "spec": {
                    "group": group,
                    "version": version,
                    "groupPriorityMinimum": PRIORITIES.get(group, 1_000),
                    "versionPriority": 100 if is_custom else _VERSIONS.get(name, 15),
                },
                "status": _condition("Available", "True", now, "Local", "Local APIServices are always available"),
            }


def _delete_services(api: Api) -> None:
    resource = api.registry.of_table("APIService.apiregistration.k8s.io")
    assert resource is not None
    served = {f"{version}.{group}" for group, found in served_versions(api.registry).items() for version in found}
    for stored in api.storage.all(resource):
        meta = stored.object.metadata
        if meta.labels.get(_AUTOMATIC) == "true" and meta.name not in served:
            try:
                api.delete(Place(resource, name=meta.name), DeleteOptions())
            except ApiError as error:
                if error.reason != "NotFound":  # another server was faster
                    raise


def _flow(kind: str, name: str, spec: Json) -> Json:
    meta = {"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}}
    return {"apiVersion": _FLOW, "kind": kind, "metadata": meta, "spec": spec}


def _levels() -> Iterator[Json]:
    kind = "PriorityLevelConfiguration"
    yield _flow(kind, "exempt", {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}})
    for name, (shares, lent, queues) in _LEVELS.items():
        response: Json = {"type": "Reject"}
        if queues is not None:
            queuing = dict(zip(("queues", "handSize", "queueLengthLimit"), queues, strict=True))
            response = {"type": "Queue", "queuing": queuing}
        limits = {"nominalConcurrencyShares": shares, "lendablePercent": lent, "limitResponse": response}
        yield _flow(kind, name, {"type": "Limited", "limited": limits})


def _schemas(now: str) -> Iterator[Json]:
    for name, (precedence, level, distinguisher, subjects, rules) in _SCHEMAS.items():
        on_resources = [rule for rule in rules if "resources" in rule]
        on_paths = [rule for rule in rules if "resources" not in rule]
        whom = {"subjects": [_subject(each) for each in subjects]}
        spec = {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            **({"distinguisherMethod": {"type": distinguisher}} if distinguisher else {}),
            "rules": [{**whom, "resourceRules": on_resources, "nonResourceRules": on_paths}],
        }
        about = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" and it exists'
        yield {**_flow("FlowSchema", name, spec), "status": _condition("Dangling", "False", now, "Found", about)}


def _subject(text: str) -> Json:
    kind, _, name = text.partition(":")
    if kind == "account":
        namespace, _, name = name.partition(":")
        return {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}}
    return {"kind": kind.title(), kind: {"name": name}}


def _cidr(cidrs: Sequence[str]) -> Json:
    """The ServiceCIDR of the servers; what else there is about it is its controller's (``rules.service_cidrs``)."""
    meta = {"name": _CIDR}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": meta, "spec": {"cidrs": [*cidrs]}}


def _extend(api: Api, cidrs: list[str]) -> None:
    """Gives the ServiceCIDR its second range where servers that had one begin to have two."""
    resource = api.registry.of_table(SERVICE_CIDR)
    assert resource is not None

    def edit(live: AnyObject) -> AnyObject:
        document = wire.document(live)
        if document["spec"]["cidrs"] != cidrs[:1]:
            return live
        return api.storage.read(resource, {**document, "spec": {"cidrs": cidrs}})

    if len(cidrs) > 1:
        api.writer.change(Place(resource, name=_CIDR), edit, MANAGER)
