"""What Kubernetes serves, as tables: by the names of resources in paths, and by kinds."""

from __future__ import annotations

from collections.abc import Callable

from state.addresses import canonical_ip_faults
from state.validation.metadata import path_segment

WITH_STATUS = frozenset(
    [
        "cronjobs",
        "daemonsets",
        "deployments",
        "jobs",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "poddisruptionbudgets",
        "pods",
        "replicasets",
        "replicationcontrollers",
        "resourcequotas",
        "services",
        "statefulsets",
        "volumeattachments",
        "customresourcedefinitions",
        "ingresses",
        "horizontalpodautoscalers",
        "certificatesigningrequests",
        "flowschemas",
        "prioritylevelconfigurations",
        "apiservices",
        "resourceclaims",
        "servicecidrs",
    ]
)
WITH_SCALE = frozenset({"deployments", "replicasets", "replicationcontrollers", "statefulsets"})
#: By category: the resources that ``kubectl get CATEGORY`` means.
CATEGORIES: dict[str, frozenset[str]] = {
    "all": frozenset(
        [
            "cronjobs",
            "daemonsets",
            "deployments",
            "horizontalpodautoscalers",
            "jobs",
            "pods",
            "replicasets",
            "replicationcontrollers",
            "services",
            "statefulsets",
        ]
    ),
    "api-extensions": frozenset(
        [
            "apiservices",
            "customresourcedefinitions",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ]
    ),
}
#: Built-in resources without a type: plural, kind, whether namespaced, short names.
UNTYPED: dict[str, tuple[tuple[str, str, bool, str], ...]] = {
    "admissionregistration.k8s.io/v1": (
        ("mutatingadmissionpolicies", "MutatingAdmissionPolicy", False, ""),
        ("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", False, ""),
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False, ""),
        ("validatingadmissionpolicies", "ValidatingAdmissionPolicy", False, ""),
        ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False, ""),
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False, ""),
    ),
    "apiextensions.k8s.io/v1": (("customresourcedefinitions", "CustomResourceDefinition", False, "crd crds"),),
    "apiregistration.k8s.io/v1": (("apiservices", "APIService", False, ""),),
    "autoscaling/v1": (("horizontalpodautoscalers", "HorizontalPodAutoscaler", True, "hpa"),),
    "autoscaling/v2": (("horizontalpodautoscalers", "HorizontalPodAutoscaler", True, "hpa"),),
    "certificates.k8s.io/v1": (("certificatesigningrequests", "CertificateSigningRequest", False, "csr"),),
    "events.k8s.io/v1": (("events", "Event", True, "ev"),),
    "flowcontrol.apiserver.k8s.io/v1": (
        ("flowschemas", "FlowSchema", False, ""),
        ("prioritylevelconfigurations", "PriorityLevelConfiguration", False, ""),
    ),
    "networking.k8s.io/v1": (
        ("ingressclasses", "IngressClass", False, ""),
        ("ingresses", "Ingress", True, "ing"),
        ("ipaddresses", "IPAddress", False, "ip"),
        ("networkpolicies", "NetworkPolicy", True, "netpol"),
        ("servicecidrs", "ServiceCIDR", False, ""),
    ),
    "node.k8s.io/v1": (("runtimeclasses", "RuntimeClass", False, ""),),
    "rbac.authorization.k8s.io/v1": (
        ("clusterrolebindings", "ClusterRoleBinding", False, ""),
        ("clusterroles", "ClusterRole", False, ""),
        ("rolebindings", "RoleBinding", True, ""),
        ("roles", "Role", True, ""),
    ),
    "resource.k8s.io/v1": (
        ("deviceclasses", "DeviceClass", False, ""),
        ("resourceclaims", "ResourceClaim", True, ""),
        ("resourceclaimtemplates", "ResourceClaimTemplate", True, ""),
        ("resourceslices", "ResourceSlice", False, ""),
    ),
    "storage.k8s.io/v1": (("volumeattributesclasses", "VolumeAttributesClass", False, "vac"),),
}


#: By kind or group: which names objects may have, if not those of a DNS subdomain.
NAME_RULES: dict[str, Callable[[str], list[str]]] = {
    "apiregistration.k8s.io": path_segment,
    "rbac.authorization.k8s.io": path_segment,
    "IPAddress": canonical_ip_faults,
}
#: Built-in resources that are out of date.
WARNINGS = {
    "ComponentStatus": "v1 ComponentStatus is deprecated in v1.19+",
    "Endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
