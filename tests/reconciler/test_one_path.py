"""The library and the API are one: what is done to a simulation's objects and what is requested of a cluster end in the
same objects.
"""

import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manifests_for_tests import definition

from reconciler import ApiError, Cluster, Simulation, StateError
from reconciler.steps import run_steps
from state.dump import dump
from state.objects import Namespace
from state.snapshot import find_key

NOW = "2026-01-01T00:00:00Z"
NODES = "3x8cpu,32Gi"
#: Kinds that are compared: all but what each of the two has for itself.
KINDS = (
    "Namespace",
    "ConfigMap",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
    "Service",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "ReplicaSet",
    "Pod",
    "HorizontalPodAutoscaler",
    "Ingress",
    "NetworkPolicy",
    "Widget",
)
WIDGETS = definition(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer", "minimum": 0},
                    "color": {"type": "string", "default": "red"},
                },
            },
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    },
    subresources={"status": {}},
)
POD = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 20,
    "containers": [{"name": "main", "image": "app:1"}],
}
LABELS = {"app": "a"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": POD}
SPECS = {
    "apps/v1 DaemonSet": {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {**TEMPLATE, "metadata": {"labels": {"app": "d"}}},
    },
    "batch/v1 CronJob": {
        "schedule": "* * * * *",
        "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}},
    },
    "v1 ReplicationController": {
        "replicas": 1,
        "selector": {"app": "r"},
        "template": {**TEMPLATE, "metadata": {"labels": {"app": "r"}}},
    },
    "apps/v1 Deployment": {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": TEMPLATE},
    "apps/v1 StatefulSet": {
        "replicas": 2,
        "serviceName": "s",
        "selector": {"matchLabels": LABELS},
        "template": TEMPLATE,
    },
    "batch/v1 Job": {"template": {"spec": {**POD, "restartPolicy": "Never"}}},
    "autoscaling/v2 HorizontalPodAutoscaler": {
        "maxReplicas": 3,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "it"},
    },
    "networking.k8s.io/v1 Ingress": {
        "rules": [
            {
                "host": "a.example",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "it", "port": {"number": 80}}},
                        }
                    ]
                },
            }
        ]
    },
    "networking.k8s.io/v1 NetworkPolicy": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]},
    "example.com/v1 Widget": {"replicas": 1},
    "policy/v1 PodDisruptionBudget": {"minAvailable": 1, "selector": {"matchLabels": LABELS}},
    "v1 PersistentVolumeClaim": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    "v1 Pod": POD,
    "v1 Service": {"selector": LABELS, "ports": [{"port": 80}]},
}
#: Merge patches, some of which some kinds refuse.
PATCHES = (
    {"metadata": {"labels": {"x": "y"}}},
    {"metadata": {"annotations": {"x": "y"}, "finalizers": ["example.com/hold"]}},
    {"metadata": {"finalizers": None}},
    {"metadata": {"generation": 77, "creationTimestamp": None}},
    {"metadata": {"uid": "another"}},
    {"metadata": {"resourceVersion": "1"}},
    {"metadata": {"name": "another"}},
    {"spec": {"replicas": 3}},
    {"spec": {"replicas": -1}},
    {"spec": {"suspend": True}},
    {"spec": {"color": None}},
    {"spec": {"policyTypes": ["Egress"]}},
    {"spec": {"minReplicas": 5}},
    {"spec": {"rules": None}},
    {"spec": {"updateStrategy": {"type": "OnDelete"}}},
    {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}},
    {"spec": {"paused": True}},
    {"spec": {"externalName": "a.example", "type": "ExternalName"}},
    {"spec": {"clusterIP": None, "clusterIPs": None}},
    {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "it", "uid": "nobody"}]}},
    {"spec": {"type": "NodePort"}},
    {"spec": {"minAvailable": 2}},
    {"spec": {"selector": {"matchLabels": {"app": "b"}}}},
    {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}},
    {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
    {"spec": {"activeDeadlineSeconds": 9}},
    {"data": {"a": "2", "b": None}},
)
#: Patches of other forms.
FORMS = (
    ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}),
    ("strategic", {"spec": {"ports": [{"port": 81, "name": "b"}, {"$patch": "delete", "port": 80}]}}),
    ("strategic", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]}}),
    ("json", [{"op": "add", "path": "/metadata/labels", "value": {"z": "z"}}]),
    ("json", [{"op": "remove", "path": "/metadata/finalizers"}]),
    ("json", [{"op": "test", "path": "/kind", "value": "Other"}]),
)
STATUSES = (
    {"phase": "Failed"},
    {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": NOW}]},
    {"replicas": 9},
)


def manifests():
    """One object of each kind, in two namespaces."""
    for namespace in ("default", "shop"):
        meta = {"name": "it", "namespace": namespace}
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1", "b": "1"}}
        for kind, spec in SPECS.items():
            version, _, name = kind.partition(" ")
            yield {"apiVersion": version, "kind": name, "metadata": meta, "spec": spec}


MANIFESTS = list(manifests())
TARGETS = [(each["kind"], each["metadata"]["namespace"]) for each in MANIFESTS]
OBJECTS = st.sampled_from(TARGETS)
STEPS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(MANIFESTS)),
    st.tuples(st.just("patch"), OBJECTS, st.tuples(st.just("merge"), st.sampled_from(PATCHES))),
    st.tuples(st.just("patch"), OBJECTS, st.sampled_from(FORMS)),
    st.tuples(st.just("status"), OBJECTS, st.sampled_from(STATUSES)),
    st.tuples(
        st.just("delete"),
        OBJECTS,
        st.sampled_from((None, "Background", "Foreground", "Orphan")),
        st.sampled_from((None, 0, 5, -1)),
    ),
    st.tuples(st.just("namespace"), st.sampled_from(("default", "shop"))),
    st.tuples(st.just("advance"), st.sampled_from(("1s", "30s"))),
    st.tuples(st.just("settle")),
)


class Library:
    """The steps, taken in a simulation as the batch protocol has them."""

    def __init__(self):
        self.run = Simulation(nodes=NODES, now=NOW)
        self.run.loop.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}, WIDGETS])
        self.run.happen()

    def create(self, manifest):
        """A plan would change what exists, and make the namespace that doesn't."""
        ws, namespace = self.run.loop.ws, manifest["metadata"]["namespace"]
        if ws.get(find_key(self.key(manifest["kind"], namespace), ws)) is not None:
            raise StateError("there is one")
        if ws.find(Namespace, "", namespace) is None:
            raise StateError("there is no such namespace")
        self.take("apply", manifest)

    def key(self, kind, namespace):
        return f"{kind}/{namespace}/it"

    def take(self, step, argument):
        """One step of the batch protocol."""
        run_steps(self.run, [{step: argument}], objects=False)

    def patch(self, target, patch):
        self.take("patch", {"target": self.key(*target), "type": patch[0], "patch": patch[1]})

    def status(self, target, status):
        self.take("status", {"target": self.key(*target), "status": status})

    def delete(self, target, policy, grace):
        options = {"propagationPolicy": policy, "gracePeriodSeconds": grace}
        self.take("delete", {"target": self.key(*target), **options})

    def namespace(self, name):
        self.take("delete", f"Namespace/{name}")

    def advance(self, duration):
        self.take("advance", duration)

    def settle(self):
        self.run.happen()

    def objects(self):
        return [dump(obj) for obj in self.run.snapshot]


class Server:
    """The same steps, as requests."""

    def __init__(self):
        self.cluster = Cluster(NODES, now=NOW)
        self.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        self.cluster.create(WIDGETS)
        self.cluster.settle()

    def create(self, manifest):
        self.cluster.create(manifest)

    def patch(self, target, patch):
        kind, namespace = target
        self.cluster.patch(kind, "it", patch[1], namespace, form=patch[0], fieldValidation="Strict")

    def status(self, target, status):
        kind, namespace = target
        self.cluster.patch(kind, "it", {"status": status}, namespace, subresource="status", fieldValidation="Strict")

    def delete(self, target, policy, grace):
        kind, namespace = target
        options = {"propagationPolicy": policy, "gracePeriodSeconds": grace}
        self.cluster.delete(
            kind, "it", namespace, **{name: value for name, value in options.items() if value is not None}
        )

    def namespace(self, name):
        self.cluster.delete("Namespace", name)

    def advance(self, duration):
        self.cluster.advance(duration)

    def settle(self):
        self.cluster.settle()

    def objects(self):
        return [
            self.cluster.get(kind, item["metadata"]["name"], item["metadata"].get("namespace", ""))
            for kind in KINDS
            for item in self.cluster.list(kind)["items"]
        ]


def said(value):
    """Without what says nothing: nulls and empty maps, which an API server shows here and there."""
    if isinstance(value, dict):
        return {
            name: item for name, item in ((name, said(item)) for name, item in value.items()) if item not in (None, {})
        }
    return [said(item) for item in value] if isinstance(value, list) else value


def comparable(objects):
    """Without what is given at random: uids, revisions, the last letters of names, and which node it was."""
    found = []
    for obj in said([each for each in objects if each["kind"] in KINDS]):
        meta = obj["metadata"]
        if obj["kind"] == "ConfigMap" and meta["name"] == "kube-root-ca.crt":
            continue
        for name in ("uid", "resourceVersion", "managedFields", "selfLink"):
            meta.pop(name, None)
        meta.get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
        if not meta.get("annotations"):
            meta.pop("annotations", None)
        base = meta.get("generateName")
        text = json.dumps(obj, sort_keys=True)
        if base:
            text = text.replace(meta["name"], f"{base}<#>")
        text = re.sub(r'"(nodeName|hostIP|podIP|ip|containerID|uid|resourceVersion)": "[^"]*"', r'"\1": "<any>"', text)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>", text)
        found.append(text)
    return sorted(found)


def take(side, step):
    """One step and what follows at once; whether it was refused."""
    try:
        getattr(side, step[0])(*step[1:])
    except (ApiError, StateError):
        return True
    finally:
        side.settle()
    return False


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=10))
def test_the_library_does_as_the_api(steps):
    """Whatever is created, changed, reported and deleted, and whenever time passes meanwhile."""
    library, server = Library(), Server()
    with server.cluster:
        for step in (*steps, ("advance", "60s")):
            refused = {take(side, step) for side in (library, server)}
            assert len(refused) == 1, step
            assert comparable(library.objects()) == comparable(server.objects()), step
