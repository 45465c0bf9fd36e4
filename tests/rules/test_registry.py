"""The steps of a write are the same whoever writes, and what controllers make has to be valid, too."""

from __future__ import annotations

import pytest

from reconciler import Reconciler
from rules.admission import ForbiddenError
from rules.registry import InvalidError, changed, created, prepared, problems_of_made, update_of
from rules.strategies import traits_of
from state.errors import required
from state.objects import (
    ConfigMap,
    Container,
    Deployment,
    DeploymentSpec,
    Namespace,
    ObjectMeta,
    Pod,
    PodSpec,
    ResourceRequirements,
    replace,
)

TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SPEC = {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}


class Told:
    """Admission that tells what it is asked, and refuses what it is told to."""

    def __init__(self, refuses=""):
        self.asked, self.refuses = [], refuses

    def complete(self, new, old=None):
        self._ask("complete", new)
        return replace(new, metadata=replace(new.metadata, annotations={"completed": "yes"}))

    def check(self, new, old=None):
        self._ask("check", new)

    def _ask(self, what, obj):
        self.asked.append((what, obj.metadata.name, obj.metadata.uid))
        if what == self.refuses:
            raise ForbiddenError(obj.kind, obj.metadata, what)


def named(obj):
    return replace(obj, metadata=replace(obj.metadata, name="n", uid="u"))


def nothing(*_):
    return ()


def test_a_new_object_is_completed_then_named_then_validated_then_checked():
    admission, seen = Told(), []

    def problems(new):
        seen.append((len(admission.asked), new.metadata.name, new.metadata.annotations))
        return ()

    new = created(ConfigMap(metadata=ObjectMeta(generate_name="n")), admission, named, problems)
    assert admission.asked == [("complete", "", ""), ("check", "n", "u")]
    assert seen == [(1, "n", {"completed": "yes"})]
    assert new.metadata.annotations == {"completed": "yes"}


@pytest.mark.parametrize("refuses", ["complete", "check"])
def test_what_admission_refuses_is_not_created(refuses):
    with pytest.raises(ForbiddenError, match=refuses):
        created(ConfigMap(), Told(refuses), named, nothing)


def test_what_is_not_valid_is_told_in_the_words_of_the_api_server_and_never_checked():
    admission = Told()
    with pytest.raises(InvalidError) as refused:
        created(
            Deployment(metadata=ObjectMeta(generate_name="d-")), admission, named, lambda _: [required("spec", "why")]
        )
    assert str(refused.value) == 'Deployment.apps "n" is invalid: spec: Required value: why'
    assert refused.value.subject == 'Deployment.apps "n" is invalid: spec: Required value: why'
    assert [what for what, *_ in admission.asked] == ["complete"]


def test_a_new_object_begins_as_the_server_has_it():
    """Whatever is sent of what only the server sets."""
    meta = ObjectMeta(name="d", generation=7, deletion_timestamp="2026-01-01T00:00:00Z", resource_version="5")
    new = prepared(traits_of(Deployment), Deployment(metadata=meta), 0).metadata
    assert (new.generation, new.deletion_timestamp, new.resource_version) == (1, None, None)


def test_a_generated_name_of_a_namespace_is_its_label():
    new = created(Namespace(metadata=ObjectMeta(generate_name="n")), Told(), named, nothing)
    assert new.metadata.labels == {"kubernetes.io/metadata.name": "n"}


def test_a_change_is_completed_prepared_validated_and_checked():
    admission = Told()
    old = Deployment(metadata=ObjectMeta(name="d", uid="u", generation=1), spec=DeploymentSpec(replicas=1))
    new = replace(old, spec=DeploymentSpec(replicas=2), metadata=ObjectMeta(name="d"))
    stored = changed(new, old, admission, update_of(traits_of(Deployment)), nothing)
    assert (stored.metadata.uid, stored.metadata.generation) == ("u", 2)
    assert stored.metadata.annotations == {"completed": "yes"}
    assert admission.asked == [("complete", "d", ""), ("check", "d", "u")]


def test_of_pods_of_one_template_each_label_and_limit_is_looked_at():
    """Though what they share is looked at once."""
    meta = ObjectMeta(name="a-1", generate_name="a-", labels={"a": "b"})
    pod = Pod(metadata=meta, spec=PodSpec(containers=(Container(name="c", image="i"),)))
    assert not problems_of_made(pod)
    assert not problems_of_made(replace(pod, metadata=replace(meta, name="a-2")))
    labelled = replace(pod, metadata=replace(meta, labels={"a": "b" * 64}))
    assert [each.path for each in problems_of_made(labelled)] == ["metadata.labels"]
    hosted = replace(pod, spec=replace(pod.spec, hostname="b" * 64))
    assert [each.path for each in problems_of_made(hosted)] == ["spec.hostname"]
    limited = Container(name="c", image="i", resources=ResourceRequirements(limits={"cpu": "1"}, requests={"cpu": "2"}))
    limited = replace(pod, spec=replace(pod.spec, containers=(limited,)))
    assert [each.path for each in problems_of_made(limited)] == ["spec.containers[0].resources.requests"]


LONG = "a" * 60
LONGEST = ".".join(["a" * 62] * 4)


@pytest.mark.parametrize(
    ("manifest", "reason", "message"),
    [
        (
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": LONG}},
            "FailedCreate",
            f'create Pod {LONG}-0 in StatefulSet {LONG} failed error: Pod "{LONG}-0" is invalid: metadata.labels: ',
        ),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": LONGEST}},
            "ReplicaSetCreateError",
            f'Failed to create new replica set "{LONGEST}-',
        ),
    ],
)
def test_what_a_controller_makes_with_too_long_a_name_is_refused_with_an_event_and_a_note(manifest, reason, message):
    """As kube-apiserver refuses it: nothing is made, and the owner says why, once."""
    loop = Reconciler([manifest | {"spec": SPEC | ({"serviceName": "s"} if reason == "FailedCreate" else {})}], nodes=1)
    plan = loop.step()
    assert not plan.snapshot.table("Pod")
    (event,) = (each for each in plan.events if each.reason == reason)
    assert event.message.startswith(message)
    assert "is invalid: " in event.message
    (note,) = plan.notes
    assert "is invalid: " in note.why
    again = loop.step()
    assert not again.actions
    assert not again.events
