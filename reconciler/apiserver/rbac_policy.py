"""The roles and bindings that every cluster has from its first moment, as kube-apiserver makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import make_missing
from reconciler.apiserver.rbac import API_VERSION, GROUP, MASTERS

Json = dict[str, Any]
_READ, _WRITE = ("get", "list", "watch"), ("create", "delete", "deletecollection", "patch", "update")
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
_INFO = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_MONITORED = ("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_INFO)


def _rule(groups: str, resources: str, verbs: tuple[str, ...]) -> Json:
    """Rule on resources; groups separated by commas, resources by blanks."""
    return {"apiGroups": groups.split(","), "resources": resources.split(), "verbs": list(verbs)}


def _paths(paths: tuple[str, ...], *verbs: str) -> Json:
    return {"nonResourceURLs": list(paths), "verbs": list(verbs)}


_CORE_VIEWED = (
    "bindings configmaps endpoints events limitranges namespaces namespaces/status persistentvolumeclaims"
    " persistentvolumeclaims/status pods pods/log pods/status replicationcontrollers replicationcontrollers/scale"
    " replicationcontrollers/status resourcequotas resourcequotas/status serviceaccounts services services/status"
)
_APPS_VIEWED = (
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
    " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"
)
_VIEWED = (
    ("", _CORE_VIEWED),
    ("apps", _APPS_VIEWED),
    ("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    ("batch", "cronjobs cronjobs/status jobs jobs/status"),
    ("discovery.k8s.io", "endpointslices"),
    ("networking.k8s.io", "ingresses ingresses/status networkpolicies"),
    ("policy", "poddisruptionbudgets poddisruptionbudgets/status"),
)
_EDITED = (
    (
        "",
        "configmaps events persistentvolumeclaims pods pods/attach pods/eviction pods/exec pods/portforward pods/proxy",
    ),
    ("", "replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy"),
    ("apps", "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale"),
    ("apps", "statefulsets statefulsets/scale"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("batch", "cronjobs jobs"),
    ("coordination.k8s.io", "leases"),
    ("networking.k8s.io", "ingresses networkpolicies"),
    ("policy", "poddisruptionbudgets"),
)


def _view() -> list[Json]:
    return [_rule(group, resources, _READ) for group, resources in _VIEWED]


def _edit() -> list[Json]:
    secrets = [_rule("", "secrets pods/attach pods/exec pods/portforward pods/proxy services/proxy", _READ)]
    token = [_rule("", "serviceaccounts/token", ("create",)), _rule("", "serviceaccounts", ("impersonate",))]
    leases = [_rule("coordination.k8s.io", "leases", _READ)]
    return [*_view(), *secrets, *leases, *token, *(_rule(group, resources, _WRITE) for group, resources in _EDITED)]


def _admin() -> list[Json]:
    reviews = _rule("authorization.k8s.io", "localsubjectaccessreviews", ("create",))
    return [*_edit(), reviews, _rule(GROUP, "roles rolebindings", (*_READ, *_WRITE))]


def _roles() -> dict[str, list[Json]]:
    everything = [_rule("*", "*", ("*",)), _paths(("*",), "*")]
    reviews = _rule("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", ("create",))
    oneself = _rule("authentication.k8s.io", "selfsubjectreviews", ("create",))
    return {
        "admin": _admin(),
        "cluster-admin": everything,
        "edit": _edit(),
        "system:basic-user": [reviews, oneself],
        "system:discovery": [_paths(_DISCOVERY, "get")],
        "system:monitoring": [_paths(_MONITORED, "get")],
        "system:public-info-viewer": [_paths(_INFO, "get")],
        "view": _view(),
    }


_BINDINGS = {
    "cluster-admin": (MASTERS,),
    "system:basic-user": (_AUTHENTICATED,),
    "system:discovery": (_AUTHENTICATED,),
    "system:monitoring": ("system:monitoring",),
    "system:public-info-viewer": (_AUTHENTICATED, _UNAUTHENTICATED),
}


def _objects() -> Iterator[Json]:
    for name, rules in _roles().items():
        meta = {"name": name, "labels": _LABELS}
        yield {"apiVersion": API_VERSION, "kind": "ClusterRole", "metadata": meta, "rules": rules}
    for name, groups in _BINDINGS.items():
        yield {
            "apiVersion": API_VERSION,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": _LABELS},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
        }


def bootstrap_policy(api: Api) -> None:
    """Makes the roles and bindings that aren't there yet."""
    make_missing(api, _objects())
