"""The library and the API are one: what is done to a simulation's objects and what is requested of a cluster end in the
same objects.
"""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from manifests_for_tests import definition

from reconciler import ApiError, Cluster, Simulation, StateError
from reconciler.steps import run_steps
from rules.actions import Create
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
    "LimitRange",
    "PersistentVolume",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "Secret",
    "StorageClass",
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
    "v1 LimitRange": {
        "limits": [
            {"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}},
        ]
    },
    "v1 ResourceQuota": {
        "hard": {
            "limits.cpu": "2",
            "pods": "3",
            "requests.storage": "2Gi",
            "services.nodeports": "1",
            "count/deployments.apps": "1",
        }
    },
}
#: What objects of other kinds have beside their metadata; some of them are in no namespace.
BODIES = {
    "v1 ConfigMap": {"data": {"a": "1", "b": "1"}},
    "v1 Secret": {"data": {"a": "MQ=="}},
    "rbac.authorization.k8s.io/v1 Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
}
EVERYWHERE = {
    "v1 PersistentVolume": {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/data"},
            "persistentVolumeReclaimPolicy": "Retain",
        }
    },
    "scheduling.k8s.io/v1 PriorityClass": {"value": 10, "globalDefault": True},
    "storage.k8s.io/v1 StorageClass": {
        "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "example.com/disk",
        "allowVolumeExpansion": True,
    },
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
    {"immutable": True},
    {"metadata": {"labels": {"a": "-"}}},
    {"metadata": {"finalizers": ["alone"]}},
    {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "it", "uid": ""}]}},
    {"metadata": {"deletionTimestamp": NOW, "deletionGracePeriodSeconds": 7}},
    {"metadata": {"generateName": "other-", "selfLink": "/a"}},
    {"spec": {"containers": [{"name": "main", "image": "app:2"}]}},
    {"spec": {"containers": [{"name": "main", "image": ""}]}},
    {"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}},
    {"spec": {"priority": 5}},
    {"spec": {"priorityClassName": "it"}},
    {"spec": {"nodeName": "node-1"}},
    {"spec": {"completions": 3}},
    {"spec": {"parallelism": 2}},
    {"spec": {"ttlSecondsAfterFinished": 10}},
    {"spec": {"minReadySeconds": 5, "revisionHistoryLimit": 0}},
    {"spec": {"serviceName": "b"}},
    {"spec": {"schedule": "* * *"}},
    {"spec": {"volumeName": "it", "storageClassName": ""}},
    {"spec": {"resources": {"requests": {"storage": "3Gi"}}}},
    {"spec": {"type": "LoadBalancer"}},
    {"spec": {"ports": [{"port": 80, "nodePort": 30000}], "type": "NodePort"}},
    {"spec": {"template": {"spec": {"priorityClassName": "it"}}}},
    {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "2"}}}]}
            }
        }
    },
    {"spec": {"hard": {"pods": "1"}}},
    {"spec": {"hard": {"pods": "9"}}},
    {"spec": {"limits": [{"type": "Container", "min": {"cpu": "200m"}}]}},
    {"spec": {"capacity": {"storage": "5Gi"}}},
    {"spec": {"persistentVolumeReclaimPolicy": "Delete"}},
    {"value": 20},
    {"allowVolumeExpansion": False},
    {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": None}}},
    {"rules": []},
    {"type": "example.com/kind"},
)
#: Patches of other forms.
FORMS = (
    ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}),
    ("strategic", {"spec": {"ports": [{"port": 81, "name": "b"}, {"$patch": "delete", "port": 80}]}}),
    ("strategic", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]}}),
    ("json", [{"op": "add", "path": "/metadata/labels", "value": {"z": "z"}}]),
    ("json", [{"op": "remove", "path": "/metadata/finalizers"}]),
    ("json", [{"op": "test", "path": "/kind", "value": "Other"}]),
    ("json", [{"op": "replace", "path": "/spec", "value": {}}]),
    ("json", [{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/other"}]),
    ("json", [{"op": "copy", "from": "/spec/replicas", "path": "/spec/minReadySeconds"}]),
    ("strategic", {"spec": {"$retainKeys": ["type"], "strategy": {"type": "Recreate"}}}),
    ("strategic", {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
    ("strategic", {"metadata": {"finalizers": ["example.com/other"]}}),
    ("strategic", {"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}),
)
STATUSES = (
    {"phase": "Failed"},
    {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": NOW}]},
    {"replicas": 9},
    {"replicas": -1},
    {"readyReplicas": 5},
    {"numberReady": -1},
    {"succeeded": 1},
    {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    {"loadBalancer": {"ingress": [{"ip": "10.1.1.1"}]}},
    {"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 4}]},
)
#: What a DELETE may be on the condition of.
CONDITIONS = (None, "uid", "another uid", "resourceVersion", "another resourceVersion")


def manifests():
    """One object of each kind, in two namespaces if it is in any."""
    bodies = BODIES | {kind: {"spec": spec} for kind, spec in SPECS.items()}
    for namespace in ("default", "shop"):
        for kind, body in bodies.items():
            version, _, name = kind.partition(" ")
            yield {"apiVersion": version, "kind": name, "metadata": {"name": "it", "namespace": namespace}, **body}
    for kind, body in EVERYWHERE.items():
        version, _, name = kind.partition(" ")
        meta = {"name": "it", **body.get("metadata", {})}
        yield {"apiVersion": version, "kind": name, **body, "metadata": meta}


MANIFESTS = list(manifests())


def steps_on(manifests):
    """What can be done to some objects."""
    objects = st.sampled_from([(each["kind"], each["metadata"].get("namespace", "")) for each in manifests])
    return st.one_of(
        st.tuples(st.just("create"), st.sampled_from(manifests)),
        st.tuples(st.just("patch"), objects, st.tuples(st.just("merge"), st.sampled_from(PATCHES))),
        st.tuples(st.just("patch"), objects, st.sampled_from(FORMS)),
        st.tuples(st.just("status"), objects, st.sampled_from(STATUSES)),
        st.tuples(
            st.just("delete"),
            objects,
            st.sampled_from((None, "Background", "Foreground", "Orphan")),
            st.sampled_from((None, 0, 5, -1)),
            st.sampled_from(CONDITIONS),
        ),
        st.tuples(st.just("namespace"), st.sampled_from(("default", "shop"))),
        st.tuples(st.just("advance"), st.sampled_from(("1s", "30s"))),
        st.tuples(st.just("settle")),
    )


#: Steps on few objects, so that they meet.
STEPS = st.lists(st.sampled_from(MANIFESTS), min_size=1, max_size=5).flatmap(
    lambda manifests: st.lists(steps_on(manifests), max_size=12)
)


def preconditions(live, condition):
    """Those of a DELETE: what the live object has, or something else."""
    another, _, name = (condition or "").rpartition(" ")
    value = live.get("metadata", {}).get(name, "")
    return {name: value + "0" if another else value} if name else None


class Library:
    """The steps, taken in a simulation as the batch protocol has them."""

    def __init__(self):
        self.run = Simulation(nodes=NODES, now=NOW)
        self.run.loop.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}, WIDGETS])
        self.run.happen()

    def create(self, manifest):
        """A plan would change what exists, and make the namespace that doesn't; what isn't let in it notes."""
        ws, namespace = self.run.loop.ws, manifest["metadata"].get("namespace", "")
        if ws.get(find_key(self.key(manifest["kind"], namespace), ws)) is not None:
            raise StateError("there is one")
        if namespace and ws.find(Namespace, "", namespace) is None:
            raise StateError("there is no such namespace")
        begin = len(self.run.timeline)
        self.take("apply", manifest)
        created = [item.object for _, item in self.run.timeline[begin:] if isinstance(item, Create)]
        if all(obj.kind != manifest["kind"] or obj.metadata.name != "it" for obj in created):
            raise StateError("it wasn't let in")

    def key(self, kind, namespace):
        return "/".join(filter(None, (kind, namespace, "it")))

    def take(self, step, argument):
        """One step of the batch protocol."""
        run_steps(self.run, [{step: argument}], objects=False)

    def patch(self, target, patch):
        self.take("patch", {"target": self.key(*target), "type": patch[0], "patch": patch[1]})

    def status(self, target, status):
        self.take("status", {"target": self.key(*target), "status": status})

    def delete(self, target, policy, grace, condition):
        ws = self.run.loop.ws
        live = ws.get(find_key(self.key(*target), ws))
        options = {"propagationPolicy": policy, "gracePeriodSeconds": grace}
        options["preconditions"] = preconditions({} if live is None else dump(live), condition)
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
        """What exists isn't tried: a quota would be charged for it at first, as it is in Kubernetes."""
        meta = manifest["metadata"]
        if any(each["metadata"]["name"] == "it" for each in self.found(manifest["kind"], meta.get("namespace", ""))):
            raise StateError("there is one")
        self.cluster.create(manifest)

    def found(self, kind, namespace=""):
        return self.cluster.list(kind, namespace)["items"]

    def patch(self, target, patch):
        kind, namespace = target
        self.cluster.patch(kind, "it", patch[1], namespace, form=patch[0], fieldValidation="Strict")

    def status(self, target, status):
        kind, namespace = target
        self.cluster.patch(kind, "it", {"status": status}, namespace, subresource="status", fieldValidation="Strict")

    def delete(self, target, policy, grace, condition):
        kind, namespace = target
        options = {"propagationPolicy": policy, "gracePeriodSeconds": grace}
        if condition is not None:
            options["preconditions"] = preconditions(self.cluster.get(kind, "it", namespace), condition)
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
            for item in self.found(kind)
        ]


#: Kinds of which a server makes some by itself.
_BROUGHT_ALONG = ("ConfigMap", "PriorityClass", "Role")


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
        if obj["kind"] in _BROUGHT_ALONG and meta["name"] != "it":
            continue
        for name in ("uid", "resourceVersion", "managedFields", "selfLink"):
            meta.pop(name, None)
        meta.get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
        if not meta.get("annotations"):
            meta.pop("annotations", None)
        base = meta.get("generateName") if obj["kind"] == "Pod" else None
        text = json.dumps(obj, sort_keys=True)
        if base:
            text = text.replace(meta["name"], f"{base}<#>")
        text = re.sub(r'"(nodeName|hostIP|podIP|ip|containerID|uid|resourceVersion)": "[^"]*"', r'"\1": "<any>"', text)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>", text)
        text = re.sub(r'(\\"(?:it-|[0-9a-z]+-)*)[bcdfghjklmnpqrstvwxz2456789]{5}\\"', r"\1<#>", text)
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


@settings(max_examples=25)
@given(STEPS)
def test_the_library_does_as_the_api(steps):
    """Whatever is created, changed, reported and deleted, and whenever time passes meanwhile."""
    library, server = Library(), Server()
    with server.cluster:
        for step in (*steps, ("advance", "60s")):
            refused = {take(side, step) for side in (library, server)}
            assert len(refused) == 1, step
            assert comparable(library.objects()) == comparable(server.objects()), step
