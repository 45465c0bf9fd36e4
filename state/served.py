"""Which kinds Kubernetes v1.34 builds in, and which API versions of them it has given up.

Everything outside these API groups is a custom resource and is carried as it is. Inside them a kind or version that is
not served is a mistake in the manifest, and is refused by name, with what is served instead.
"""

from __future__ import annotations

#: The Kubernetes release whose API is meant.
RELEASE = "1.34"

#: Kinds by API version, as in the API reference of v1.34 (beta and alpha versions that can be switched on included).
SERVED: dict[str, frozenset[str]] = {
    api_version: frozenset(kinds.split())
    for api_version, kinds in {
        "v1": "Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume"
        " PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount",
        "admissionregistration.k8s.io/v1": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding"
        " MutatingWebhookConfiguration ValidatingAdmissionPolicy"
        " ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1beta1": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/v1alpha1": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding",
        "apiextensions.k8s.io/v1": "CustomResourceDefinition",
        "apiregistration.k8s.io/v1": "APIService",
        "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
        "authentication.k8s.io/v1": "SelfSubjectReview TokenRequest TokenReview",
        "authorization.k8s.io/v1": "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview"
        " SubjectAccessReview",
        "autoscaling/v1": "HorizontalPodAutoscaler Scale",
        "autoscaling/v2": "HorizontalPodAutoscaler",
        "batch/v1": "CronJob Job",
        "certificates.k8s.io/v1": "CertificateSigningRequest",
        "certificates.k8s.io/v1beta1": "ClusterTrustBundle",
        "certificates.k8s.io/v1alpha1": "ClusterTrustBundle PodCertificateRequest",
        "coordination.k8s.io/v1": "Lease",
        "coordination.k8s.io/v1beta1": "LeaseCandidate",
        "coordination.k8s.io/v1alpha2": "LeaseCandidate",
        "discovery.k8s.io/v1": "EndpointSlice",
        "events.k8s.io/v1": "Event",
        "flowcontrol.apiserver.k8s.io/v1": "FlowSchema PriorityLevelConfiguration",
        "internal.apiserver.k8s.io/v1alpha1": "StorageVersion",
        "networking.k8s.io/v1": "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR",
        "networking.k8s.io/v1beta1": "IPAddress ServiceCIDR",
        "node.k8s.io/v1": "RuntimeClass",
        "policy/v1": "Eviction PodDisruptionBudget",
        "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
        "resource.k8s.io/v1": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
        "resource.k8s.io/v1beta2": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
        "resource.k8s.io/v1beta1": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
        "resource.k8s.io/v1alpha3": "DeviceTaintRule",
        "scheduling.k8s.io/v1": "PriorityClass",
        "storage.k8s.io/v1": "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
        "storage.k8s.io/v1beta1": "VolumeAttributesClass",
        "storage.k8s.io/v1alpha1": "VolumeAttributesClass",
        "storagemigration.k8s.io/v1alpha1": "StorageVersionMigration",
    }.items()
}

#: The release that stopped serving a version (Kubernetes' "Deprecated API Migration Guide").
_REMOVED_IN: dict[tuple[str, str], str] = {
    (api_version, kind): release
    for release, api_versions in {
        "1.16": {
            "apps/v1beta1": "ControllerRevision Deployment StatefulSet",
            "apps/v1beta2": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
            "extensions/v1beta1": "DaemonSet Deployment NetworkPolicy PodSecurityPolicy ReplicaSet",
        },
        "1.21": {"batch/v2alpha1": "CronJob"},
        "1.22": {
            "admissionregistration.k8s.io/v1beta1": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
            "apiextensions.k8s.io/v1beta1": "CustomResourceDefinition",
            "apiregistration.k8s.io/v1beta1": "APIService",
            "authentication.k8s.io/v1beta1": "TokenReview",
            "authorization.k8s.io/v1beta1": "LocalSubjectAccessReview SelfSubjectAccessReview SubjectAccessReview",
            "certificates.k8s.io/v1beta1": "CertificateSigningRequest",
            "coordination.k8s.io/v1beta1": "Lease",
            "extensions/v1beta1": "Ingress",
            "networking.k8s.io/v1beta1": "Ingress IngressClass",
            "rbac.authorization.k8s.io/v1alpha1": "ClusterRole ClusterRoleBinding Role RoleBinding",
            "rbac.authorization.k8s.io/v1beta1": "ClusterRole ClusterRoleBinding Role RoleBinding",
            "scheduling.k8s.io/v1alpha1": "PriorityClass",
            "scheduling.k8s.io/v1beta1": "PriorityClass",
            "storage.k8s.io/v1beta1": "CSIDriver CSINode StorageClass VolumeAttachment",
        },
        "1.25": {
            "autoscaling/v2beta1": "HorizontalPodAutoscaler",
            "batch/v1beta1": "CronJob",
            "discovery.k8s.io/v1beta1": "EndpointSlice",
            "events.k8s.io/v1beta1": "Event",
            "node.k8s.io/v1beta1": "RuntimeClass",
            "policy/v1beta1": "PodDisruptionBudget PodSecurityPolicy",
        },
        "1.26": {
            "autoscaling/v2beta2": "HorizontalPodAutoscaler",
            "flowcontrol.apiserver.k8s.io/v1beta1": "FlowSchema PriorityLevelConfiguration",
        },
        "1.27": {"storage.k8s.io/v1beta1": "CSIStorageCapacity"},
        "1.29": {"flowcontrol.apiserver.k8s.io/v1beta2": "FlowSchema PriorityLevelConfiguration"},
        "1.32": {"flowcontrol.apiserver.k8s.io/v1beta3": "FlowSchema PriorityLevelConfiguration"},
    }.items()
    for api_version, kinds in api_versions.items()
    for kind in kinds.split()
}

#: Built-in groups, the abandoned ``extensions`` among them; "" is the group of v1.
_GROUPS = {api_version.rpartition("/")[0] for api_version in (*SERVED, "extensions/v1beta1")}


def removed(api_version: str, kind: str) -> str | None:
    """The fact in a sentence if Kubernetes once served this kind in this version: ``X was removed in ...``."""
    release = _REMOVED_IN.get((api_version, kind))
    return None if release is None else f"{kind} {api_version} was removed in Kubernetes {release}"


def why_unserved(api_version: str, kind: str) -> str | None:
    """Why an API server would not take this kind and version; None if it would, or if it is a custom resource."""
    if kind in SERVED.get(api_version, ()) or api_version.rpartition("/")[0] not in _GROUPS:
        return None
    fact = removed(api_version, kind) or f'no matches for kind "{kind}" in version "{api_version}"'
    served = [version for version, kinds in SERVED.items() if kind in kinds]
    return f"{fact}; Kubernetes {RELEASE} serves it in {', '.join(served)}" if served else fact
