"""A plugin of one's own filters and scores by columns, the same on both paths."""

import numpy as np
import pytest
import random_clusters

from rules.scheduling import DEFAULT, ColumnPlugin, Scheduler, schedule_cluster
from rules.scheduling.admission import admitted
from rules.scheduling.own import PluginError


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

    view = admitted(random_clusters.cluster(5))
    scheduler = Scheduler(view, DEFAULT.with_plugins([(Wild(), 1)]))
    with pytest.raises(PluginError, match="plugin Wild: rank must give a number from 0 to 100 for each node"):
        scheduler.schedule(view.pending("default-scheduler"), now=0)


def test_what_goes_wrong_in_a_plugin_is_told_with_its_name_and_cause():
    class Broken(ColumnPlugin):
        name = "Broken"

        def fits(self, pod, nodes):
            return nodes.label_values("gen") > 3

    class Short(ColumnPlugin):
        name = "Short"

        def fits(self, pod, nodes):
            return np.ones(nodes.size + 1, dtype=bool)

    view = admitted(random_clusters.cluster(5))
    for plugin, message in ((Broken(), "plugin Broken: fits failed: TypeError"), (Short(), "Short: fits must give")):
        with pytest.raises(PluginError, match=message):
            Scheduler(view, DEFAULT.with_plugins([(plugin, 1)])).schedule(view.pending("default-scheduler"), now=0)
