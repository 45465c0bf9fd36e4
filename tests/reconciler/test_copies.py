"""What one more pod of a workload would be."""

from reconciler import reconcile
from reconciler.copies import copy_of
from state.snapshot import Key

NODES = [
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "9"}},
    }
    for name in ("a", "b")
]


def workload(kind, **spec):
    """A workload named web with one container."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def copied(made):
    """The copy of a workload that runs already."""
    plan = reconcile([made], NODES, now="2026-01-01T00:00:00Z")
    assert plan.snapshot.objects("Pod")
    return copy_of(Key(made["kind"], "default", "web"), plan.snapshot)


def test_a_copy_of_a_daemon_sets_pod_goes_to_any_node():
    """The pods that it has are each for one node."""
    assert copied(workload("DaemonSet")).spec.affinity is None


def test_a_copy_of_a_stateful_sets_pod_gets_claims_of_its_own():
    """So the claims of the pod that it is a copy of don't bind it to a node."""
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    copy = copied(workload("StatefulSet", serviceName="web", volumeClaimTemplates=[claim]))
    assert copy.spec.volumes == ()


def test_a_copy_of_a_deployments_pod_is_like_the_pods_that_run():
    assert copied(workload("Deployment", replicas=2)).metadata.owner_references
