"""Places two pods with and without the plugin: ``python docs/own-plugin/try_it.py``."""

from pathlib import Path

import yaml
from spot_last import SpotLast

from reconciler import reconcile
from rules.scheduling import load_configuration

CONFIGURATION = yaml.safe_load((Path(__file__).parent / "scheduler.yaml").read_text())


def node(name, capacity):
    have = {"cpu": "4", "memory": "16Gi", "pods": "110"}
    metadata = {"name": name, "labels": {"capacity": capacity}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"allocatable": have}}


def pod(name):
    container = {"name": "main", "image": "nginx", "resources": {"requests": {"cpu": "1"}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


def main():
    cluster = [node("a-spot", "spot"), node("b-stays", "on-demand")]
    for title, scheduler in (
        ("default profile", None),
        ("with SpotLast", load_configuration(CONFIGURATION, {"SpotLast": SpotLast})),
    ):
        plan = reconcile([pod("one"), pod("two")], cluster, scheduler=scheduler)
        placed = {found.metadata.name: found.spec.node_name for found in plan.snapshot.objects("Pod")}
        print(f"{title}: {placed}")
    print(plan.explain("pod/two"))


if __name__ == "__main__":
    main()
