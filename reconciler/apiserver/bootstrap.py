"""What every cluster has from its first moment: namespaces and priority classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.apiserver import wire
from reconciler.apiserver.api import Api
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.writer import MANAGER, Sent
from state.objects import AnyObject
from state.store.layout import prefix_of

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def _objects() -> list[dict[str, Any]]:
    namespaces: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES
    ]
    classes: list[dict[str, Any]] = [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "description": f"Used for system critical pods that must {text}.",
        }
        for name, value, text in (
            (
                "system-cluster-critical",
                2_000_000_000,
                "run in the cluster, but can be moved to another node if necessary",
            ),
            ("system-node-critical", 2_000_001_000, "not be moved from their current node"),
        )
    ]
    return [*namespaces, *classes]


def bootstrap(api: Api) -> None:
    """Makes what isn't there yet, and reports the parts of the control plane: they run as long as this process.

    A new cluster's history begins when it is complete: nobody can watch how it was made, as with kube-apiserver, whose
    caches are filled later.
    """
    store = api.storage.store
    is_new = store.get(f"{prefix_of('Namespace')}{NAMESPACES[0]}") is None
    make_missing(api, _objects())
    if is_new:
        store.compact(store.revision())
    resource = api.registry.of_kind("v1", "ComponentStatus")
    assert resource is not None
    healthy = {"type": "Healthy", "status": "True", "message": "ok"}
    for name in ("controller-manager", "etcd-0", "scheduler"):
        status = {"apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name}, "conditions": [healthy]}
        api.storage.reported.report(resource, api.storage.read(resource, status))


def make_missing(api: Api, manifests: Iterable[dict[str, Any]]) -> None:
    """Makes those objects that aren't there yet, with their status; what is there stays as it is."""
    for manifest in manifests:
        resource = api.registry.of_kind(manifest["apiVersion"], manifest["kind"])
        assert resource is not None
        namespace, name = manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]
        if api.storage.entry(resource, namespace, name) is not None:
            continue
        decoded = api.writer.decoder.manifest(manifest, resource)
        try:
            api.writer.create(Place(resource, namespace), Sent.of(decoded, MANAGER))
        except ApiError as error:
            if error.reason != "AlreadyExists":  # another server on the same store was first
                raise
            continue
        if "status" in manifest:
            _report(api, Place(resource, namespace, name, "status"), manifest["status"])


def _report(api: Api, place: Place, status: dict[str, Any]) -> None:
    def edit(live: AnyObject) -> AnyObject:
        return api.storage.read(place.resource, {**wire.document(live), "status": status})

    api.writer.change(place, edit, MANAGER)
