"""A plugin of one's own filters and scores by columns, the same on both paths."""

import numpy as np
import pytest
import random_clusters

from rules.scheduling import DEFAULT, ColumnPlugin, Scheduler, schedule_cluster
from rules.scheduling.admission import admitted


class NewHardware(ColumnPlugin):
    """Old nodes won't do, and the newer the better."""

    name = "NewHardware"
    reason = "node(s) were too old"

    def fits(self, pod, nodes):
        return self.generations(nodes) >= 3

    def rank(self, pod, nodes):
        return self.generations(nodes)

    @staticmethod
    def generations(nodes):
        return np.array([int(gen or 0) for gen in nodes.label_values("gen")], dtype=np.int64)


PROFILE = DEFAULT.with_plugins([(NewHardware(), 50)])


def test_it_filters_and_scores():
    def node(name, gen):
        have = {"cpu": "4", "memory": "8Gi", "pods": "10"}
        return {"metadata": {"name": name, "labels": {"gen": gen}}, "status": {"allocatable": have}}

    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
    nodes = [node("a", "1"), node("b", "3"), node("c", "8")]
    [full] = schedule_cluster({"nodes": nodes, "pods": [pod]}, profiles=[PROFILE])
    assert full["filter"]["a"]["reasons"] == ["node(s) were too old"]
    assert full["scores"]["c"]["NewHardware"] == 400
    assert full["chosen"] == "c"
    [none] = schedule_cluster({"nodes": nodes[:1], "pods": [pod]}, "result", [PROFILE])
    assert none["fitError"].startswith("0/1 nodes are available: 1 node(s) were too old.")


def test_both_paths_agree_with_it():
    for seed in range(30):
        made = random_clusters.cluster(seed)
        short = {a["pod"]: a for a in schedule_cluster(made, "result", [PROFILE])}
        for answer in schedule_cluster(made, "full", [PROFILE]):
            mine = short[answer["pod"]]
            assert (mine["outcome"], mine.get("chosen")) == (answer["outcome"], answer.get("chosen")), seed
            assert mine.get("fitError") == answer.get("fitError"), seed


def test_a_rank_out_of_range_is_an_error_that_names_the_plugin():
    class Wild(ColumnPlugin):
        name = "Wild"

        def rank(self, pod, nodes):
            return np.full(nodes.size, 101)

    view = admitted(random_clusters.cluster(3))
    scheduler = Scheduler(view, DEFAULT.with_plugins([(Wild(), 1)]))
    with pytest.raises(ValueError, match="plugin Wild"):
        scheduler.schedule(view.pending("default-scheduler"), now=0)
