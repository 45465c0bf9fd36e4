"""What counts against a ResourceQuota, and what one has no room for, as kube-apiserver's quota evaluators.

Pure functions of objects, for whoever asks: the API server before it stores something, the controllers before they
create something, and the quota controller that says what is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from rules.pod_resources import amounts, of_pod
from state import quantity
from state.objects import (
    KINDS,
    AnyObject,
    CustomObject,
    PersistentVolumeClaim,
    Pod,
    PodAffinityTerm,
    PodSpec,
    Quantity,
    ResourceQuota,
    Service,
    kind_key,
)
from state.qos import qos_class

Amounts = Mapping[str, Quantity]
FINISHED = ("Succeeded", "Failed")
#: Kinds that a quota may count under their plain name; all others are ``count/PLURAL.GROUP``.
_PLAIN = frozenset(
    {"ConfigMap", "PersistentVolumeClaim", "ReplicationController", "ResourceQuota", "Secret", "Service"}
)
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
#: What a quota on it obliges every container to say.
_TO_BE_SAID = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_HUGE_PAGES = "hugepages-"


# -- what an object counts for -----------------------------------------------------------------------------------------


def plural_of(kind: str) -> str:
    """The resource of a kind as a snapshot names it, with its group: ``pods``, ``ingresses.networking.k8s.io``.

    A kind without a type is guessed at as Kubernetes does (``UnsafeGuessKindToResource``).
    """
    typed = KINDS.get(kind)
    if typed is not None:
        return f"{typed.plural}.{typed.group}" if typed.group else typed.plural
    name, dot, group = kind.partition(".")
    word = name.lower()
    plural = f"{word}es" if word.endswith("s") else f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{plural}{dot}{group}"


def usage_of(obj: AnyObject, of_spec: Callable[[PodSpec], Mapping[str, Quantity]] | None = None) -> dict[str, Quantity]:
    """What one object counts for, by the names that quotas use; a pod that has ended is only an object.

    ``of_spec`` stands in for ``usage_of_spec`` where somebody remembers what it said.
    """
    plural = plural_of(kind_key(obj))
    used: dict[str, Quantity] = {f"count/{plural}": "1"}
    if obj.kind in _PLAIN and not isinstance(obj, CustomObject):
        used[plural] = "1"
    if isinstance(obj, Pod):
        if obj.status.phase not in FINISHED:
            used |= {"pods": "1", **(of_spec or usage_of_spec)(obj.spec)}
    elif isinstance(obj, PersistentVolumeClaim):
        used |= _usage_of_claim(obj)
    elif isinstance(obj, Service):
        used |= _usage_of_service(obj)
    return used


def usage_of_spec(spec: PodSpec) -> dict[str, Quantity]:
    """What pods of a spec take of the compute resources."""
    return _computed(of_pod(spec, "requests"), of_pod(spec, "limits"))


def _computed(requests: Amounts, limits: Amounts) -> dict[str, Quantity]:
    used: dict[str, Quantity] = {}
    for name, amount in requests.items():
        used[f"requests.{name}"] = amount
        if name in _COMPUTE or name.startswith(_HUGE_PAGES):
            used[name] = amount
    used |= {f"limits.{name}": amount for name, amount in limits.items() if name in _COMPUTE}
    return used


def _usage_of_claim(claim: PersistentVolumeClaim) -> dict[str, Quantity]:
    size: Quantity = "0" if claim.spec.resources is None else claim.spec.resources.requests.get("storage", "0")
    allocated = claim.status.allocated_resources.get("storage", "0")
    if quantity.compare(allocated, size) > 0:
        size = allocated
    used: dict[str, Quantity] = {"requests.storage": size}
    if claim.spec.storage_class_name:
        prefix = f"{claim.spec.storage_class_name}.storageclass.storage.k8s.io/"
        used |= {f"{prefix}requests.storage": size, f"{prefix}persistentvolumeclaims": "1"}
    return used


def _usage_of_service(service: Service) -> dict[str, Quantity]:
    spec = service.spec
    used: dict[str, Quantity] = {}
    if spec.type == "NodePort":
        used["services.nodeports"] = str(len(spec.ports))
    elif spec.type == "LoadBalancer":
        ports = spec.ports
        if spec.allocate_load_balancer_node_ports is False:
            ports = tuple(port for port in ports if port.node_port)
        used |= {"services.nodeports": str(len(ports)), "services.loadbalancers": "1"}
    return used


# -- scopes ------------------------------------------------------------------------------------------------------------


def is_in_scope(quota: ResourceQuota, obj: AnyObject) -> bool:
    """Whether a quota counts an object at all: scopes are about pods, and one of them about claims."""
    selector = quota.spec.scope_selector
    wanted: list[tuple[str, str, tuple[str, ...]]] = [(scope, "Exists", ()) for scope in quota.spec.scopes]
    if selector is not None:
        wanted += [(each.scope_name, each.operator, each.values) for each in selector.match_expressions]
    if not wanted:
        return True
    if isinstance(obj, PersistentVolumeClaim):
        classes = _classes(obj)
        return all(scope == "VolumeAttributesClass" and _selected(classes, how, names) for scope, how, names in wanted)
    return isinstance(obj, Pod) and all(_is_in(obj, *term) for term in wanted)


def _is_in(pod: Pod, scope: str, operator: str, values: tuple[str, ...]) -> bool:
    spec = pod.spec
    if scope in ("Terminating", "NotTerminating"):
        return (spec.active_deadline_seconds is not None) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (qos_class(spec) == "BestEffort") == (scope == "BestEffort")
    if scope == "CrossNamespacePodAffinity":
        return any(term.namespaces or term.namespace_selector is not None for term in _affinity_terms(spec))
    if scope != "PriorityClass":
        return False
    return _selected({spec.priority_class_name} if spec.priority_class_name else set(), operator, values)


def _selected(names: set[str], operator: str, values: Sequence[str]) -> bool:
    """As a label selector on the one label that holds the name, if there is any."""
    return {
        "Exists": bool(names),
        "DoesNotExist": not names,
        "In": not names.isdisjoint(values),
        "NotIn": names.isdisjoint(values),
    }.get(operator, False)


def _classes(claim: PersistentVolumeClaim) -> set[str]:
    """All classes of attributes that a claim has or is to have."""
    status = claim.status
    modifying = status.modify_volume_status
    names = (
        claim.spec.volume_attributes_class_name,
        status.current_volume_attributes_class_name,
        None if modifying is None else modifying.target_volume_attributes_class_name,
    )
    return {name for name in names if name}


def _affinity_terms(spec: PodSpec) -> Iterator[PodAffinityTerm]:
    if spec.affinity is None:
        return
    for side in (spec.affinity.pod_affinity, spec.affinity.pod_anti_affinity):
        if side is not None:
            yield from side.required_during_scheduling_ignored_during_execution
            yield from (each.pod_affinity_term for each in side.preferred_during_scheduling_ignored_during_execution)


# -- whether there is room ---------------------------------------------------------------------------------------------


def asked_of(quota: ResourceQuota, new: Amounts, old: Amounts | None = None) -> dict[str, Quantity]:
    """What an object takes of a quota, beyond what it took before a change: what it takes less of is left out."""
    asked: dict[str, Quantity] = {}
    for name in quota.spec.hard:
        more = quantity.parse(new.get(name, "0"))
        if old is not None:
            more -= quantity.parse(old.get(name, "0"))
        if more.nanos > 0:
            asked[name] = str(more)
    return asked


def refusal(quota: ResourceQuota, asked: Amounts, used: Amounts) -> str | None:
    """Why a quota has no room for what is asked of it, in the API server's words; None if it has."""
    over = sorted(
        name
        for name, amount in asked.items()
        if quantity.compare(quantity.add(used.get(name, "0"), amount), quota.spec.hard[name]) > 0
    )
    if not over:
        return None

    def shown(found: Amounts) -> str:
        return ",".join(f"{name}={quantity.canonical(found.get(name, '0'))}" for name in over)

    return (
        f"exceeded quota: {quota.metadata.name}, requested: {shown(asked)}, used: {shown(used)}, "
        f"limited: {shown(quota.spec.hard)}"
    )


def unknown(quota: ResourceQuota, asked: Amounts, used: Amounts) -> str | None:
    """That nobody has counted yet what is used of a quota, if so."""
    missing = sorted(asked.keys() - used.keys())
    if not missing:
        return None
    return f"status unknown for quota: {quota.metadata.name}, resources: {','.join(missing)}"


def unsaid(quota: ResourceQuota, obj: AnyObject) -> str | None:
    """What a pod's containers don't say though a quota counts it: each has to name its CPU and memory."""
    required = _TO_BE_SAID & quota.spec.hard.keys()
    if not isinstance(obj, Pod) or not required:
        return None
    own = set() if obj.spec.resources is None else _names(obj.spec.resources.requests, obj.spec.resources.limits)
    missing: dict[str, set[str]] = {}
    for container in (*obj.spec.containers, *obj.spec.init_containers):
        said = own | _names(amounts(container, "requests"), amounts(container, "limits"))
        for name in required - said:
            missing.setdefault(name, set()).add(container.name)
    if not missing:
        return None
    parts = (f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
    return f"failed quota: {quota.metadata.name}: must specify {'; '.join(parts)}"


def _names(requests: Amounts, limits: Amounts) -> set[str]:
    return set(_computed(requests, limits))
