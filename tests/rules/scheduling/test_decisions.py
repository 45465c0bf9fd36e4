"""Decisions that no recording shows: one case each in ``decisions``, by topic, with kube-scheduler's own answer."""

from pathlib import Path

import pytest
import yaml

from rules.scheduling import schedule_cluster

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['case']}")
    for path in sorted((Path(__file__).parent / "decisions").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())
]


@pytest.mark.parametrize("case", CASES)
def test_the_answer_about_a_pod_is_kube_schedulers(case):
    """Both when every node's verdict is asked for and when only the outcome is."""
    cluster, expected = case["cluster"], case["expect"]
    [full] = [answer for answer in schedule_cluster(cluster) if answer["pod"] == "default/p"]
    found = {name: full.get(name) for name in expected if name != "preemption"}
    assert found == {name: value for name, value in expected.items() if name != "preemption"}
    preemption = expected.get("preemption", {})
    assert {name: full["preemption"][name] for name in preemption} == preemption
    [short] = [answer for answer in schedule_cluster(cluster, "result") if answer["pod"] == "default/p"]
    assert (short["outcome"], short.get("fitError"), short.get("chosen")) == (
        full["outcome"],
        full.get("fitError"),
        full.get("chosen"),
    )
