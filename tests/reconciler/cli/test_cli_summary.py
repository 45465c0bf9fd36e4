"""What is alike is told once."""

import pytest

from reconciler import reconcile
from reconciler.cli.summary import counted, lines, many, plural


def widget(number, namespace="default"):
    meta = {"name": f"w{number}", "namespace": namespace}
    return {"apiVersion": "example.org/v1", "kind": "Policy", "metadata": meta}


def test_notes_that_say_the_same_of_many_objects_are_one_line():
    plan = reconcile([widget(number) for number in range(5)])
    (line,) = lines(plan.notes, plan.snapshot, wide=False)
    assert line.target == "5 policies.example.org"
    assert line.why == plan.notes[0].why
    assert len(lines(plan.notes, plan.snapshot, wide=True)) == 5


def test_few_are_named_one_by_one():
    plan = reconcile([widget(number) for number in range(3)])
    assert [line.target for line in lines(plan.notes, plan.snapshot, wide=False)] == [
        f"policy.example.org/default/w{number}" for number in range(3)
    ]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("Pod", "pods"),
        ("Endpoints", "endpoints"),
        ("PersistentVolumeClaim", "persistentvolumeclaims"),
        ("NetworkPolicy.networking.k8s.io", "networkpolicies.networking.k8s.io"),
        ("Gas.example.org", "gases.example.org"),
        ("Widget", "widgets"),
    ],
)
def test_plurals_are_those_of_the_api(kind, word):
    assert plural(kind) == word


def test_words_are_counted_in_order_of_appearance():
    assert counted(["create", "bind", "create"]) == "create 2, bind 1"
    assert (many(1, "pod"), many(0, "pod")) == ("1 pod", "0 pods")
