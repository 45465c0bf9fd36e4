"""The table of pod classes follows the pods that there are; forgetting classes changes no decision."""

import random_clusters

from rules.scheduling import Scheduler, pods
from rules.scheduling.admission import admitted
from state.objects import Container, Node, NodeStatus, ObjectMeta, Pod, PodSpec, PodStatus, ResourceRequirements


class View:
    """One node, and pods that come and go."""

    def __init__(self):
        have = {"cpu": "64", "memory": "64Gi", "pods": "110"}
        self.tables = {"Node": {("", "n"): Node(metadata=ObjectMeta(name="n"), status=NodeStatus(allocatable=have))}}

    def table(self, kind):
        return self.tables.setdefault(kind, {})


def different(number):
    needs = ResourceRequirements(requests={"memory": f"{number}Ki"})
    spec = PodSpec(containers=(Container(name="c", resources=needs),))
    meta = ObjectMeta(name=f"pod-{number}", namespace="default")
    return Pod(metadata=meta, spec=spec, status=PodStatus(phase="Pending"))


def test_classes_without_pods_are_forgotten(monkeypatch):
    monkeypatch.setattr(pods, "_FEW_CLASSES", 40)
    view = View()
    scheduler = Scheduler(view)
    sizes = []
    for start in range(0, 400, 20):
        made = [different(number) for number in range(start, start + 20)]
        for pod in made:
            view.table("Pod")["default", pod.metadata.name] = pod
            scheduler.changed(None, pod)
        assert all(decision.node == "n" for decision in scheduler.schedule(made, now=0))
        sizes.append(len(scheduler.cluster.classes))
        for pod in made:
            del view.table("Pod")["default", pod.metadata.name]
            scheduler.changed(pod, None)
    assert max(sizes) <= 80


def test_forgetting_changes_no_decision(monkeypatch):
    for seed in range(40):
        usual, forgetful = (admitted(random_clusters.cluster(seed)) for _ in range(2))
        waiting = usual.pending("default-scheduler")
        whole = [Scheduler(usual).schedule(waiting, now=0)]
        monkeypatch.setattr(pods, "_FEW_CLASSES", 0)
        scheduler = Scheduler(forgetful)
        parts = [scheduler.schedule([entry.pod], now=0) for entry in Scheduler(forgetful).queue(waiting)]
        monkeypatch.undo()
        assert [(d.pod, d.node, d.fit_error) for part in parts for d in part] == [
            (d.pod, d.node, d.fit_error) for part in whole for d in part
        ], seed
