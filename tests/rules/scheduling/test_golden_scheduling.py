"""Every decision recorded from kube-scheduler v1.34.1 is made here, field by field."""

import gzip
import json
from pathlib import Path

import pytest

from rules.scheduling import schedule_cluster

RECORDED = Path(__file__).parents[2] / "golden" / "scheduling" / "scenarios.jsonl.gz"
FIELDS = (
    "outcome",
    "gate",
    "preFilterStatus",
    "preFilterNodes",
    "nominatedNodeUsed",
    "filter",
    "scores",
    "total",
    "best",
    "chosen",
    "fitError",
    "preemption",
)


def scenarios():
    with gzip.open(RECORDED, "rt") as lines:
        return [json.loads(line) for line in lines]


SCENARIOS = scenarios()


def compared(field, value):
    """A plugin that scores 0 everywhere may be left out."""
    if field == "scores":
        return {node: {plugin: score for plugin, score in found.items() if score} for node, found in value.items()}
    return value


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_decides_as_kube_scheduler_did(scenario):
    """In the recorded order, each pod gets the recorded answer."""
    answers = schedule_cluster(scenario["cluster"])
    assert [a["pod"] for a in answers] == [g["pod"] for g in scenario["golden"]]
    for answer, golden in zip(answers, scenario["golden"], strict=True):
        for field in FIELDS:
            if field in golden:
                expected = golden[field]
                assert compared(field, answer.get(field)) == compared(field, expected), (golden["pod"], field)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["name"])
def test_short_answers_agree_with_full_ones(scenario):
    """The column path, which answers ``detail: result``, gives the recorded node, text and victims."""
    answers = schedule_cluster(scenario["cluster"], detail="result")
    for answer, golden in zip(answers, scenario["golden"], strict=True):
        assert (answer["pod"], answer["outcome"]) == (golden["pod"], golden["outcome"])
        assert (answer.get("chosen"), answer.get("fitError")) == (golden.get("chosen"), golden.get("fitError"))
        preemption = golden.get("preemption") or {}
        assert answer.get("preemption", {}).get("nominatedNode", "") == preemption.get("nominatedNode", "")
        assert answer.get("preemption", {}).get("victims", []) == preemption.get("victims", [])
