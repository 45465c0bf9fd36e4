"""What every cluster has from its first moment: namespaces, priority classes, the Service of the API itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.apiserver.api import Api
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.writer import Sent

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_MANAGER = WriteOptions(manager="kube-apiserver")


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
    """Makes what isn't there yet."""
    make_missing(api, _objects())


def make_missing(api: Api, manifests: Iterable[dict[str, Any]]) -> None:
    """Makes those cluster-scoped objects that aren't there yet; what is there stays as it is."""
    for manifest in manifests:
        resource = api.registry.of_kind(manifest["apiVersion"], manifest["kind"])
        assert resource is not None
        if api.storage.entry(resource, "", manifest["metadata"]["name"]) is not None:
            continue
        decoded = api.writer.decoder.manifest(manifest, resource)
        try:
            api.writer.create(Place(resource), Sent.of(decoded, _MANAGER))
        except ApiError as error:
            if error.reason != "AlreadyExists":  # another server on the same store was first
                raise
