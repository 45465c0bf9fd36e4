"""What a DELETE makes of an object: a table of what kube-apiserver's generic registry does."""

import pytest

from rules.deletion import FOREGROUND, ORPHAN, deletion, is_over, unmet
from state.objects import ConfigMap, Event, Job, Namespace, NamespaceSpec, ObjectMeta, Pod, PodSpec, PodStatus, replace
from state.times import SECOND, format_time, parse_time

NOW = parse_time("2026-01-01T00:00:00Z")
HOLD = "example.com/hold"


def named(kind, *finalizers, **meta):
    return kind(metadata=ObjectMeta(name="it", namespace="default", generation=4, finalizers=finalizers, **meta))


def running(*finalizers, grace=30, **meta):
    return replace(
        named(Pod, *finalizers, **meta),
        spec=PodSpec(node_name="n", termination_grace_period_seconds=grace),
        status=PodStatus(phase="Running"),
    )


def test_what_nothing_holds_is_gone_and_shown_as_it_was():
    obj = named(ConfigMap)
    assert deletion(obj, NOW) == (obj, True)


@pytest.mark.parametrize(
    ("kind", "present", "policy", "finalizers"),
    [
        (ConfigMap, (), "Background", None),
        (ConfigMap, (), "Foreground", (FOREGROUND,)),
        (ConfigMap, (), "Orphan", (ORPHAN,)),
        (ConfigMap, (HOLD,), None, (HOLD,)),
        (ConfigMap, (FOREGROUND, HOLD), "Orphan", (HOLD, ORPHAN)),
        (ConfigMap, (ORPHAN,), "Background", None),
        (ConfigMap, (ORPHAN,), None, (ORPHAN,)),
        (Job, (), None, (ORPHAN,)),
        (Job, (FOREGROUND,), None, (FOREGROUND,)),
        (Job, (), "Background", None),
        (Event, (), "Foreground", None),
    ],
)
def test_finalizers_say_what_becomes_of_dependents(kind, present, policy, finalizers):
    """None: it is gone. What is kept is marked, and of another generation."""
    found, is_gone = deletion(named(kind, *present), NOW, policy)
    assert is_gone is (finalizers is None)
    if finalizers is not None:
        meta = found.metadata
        assert meta.finalizers == finalizers
        assert (meta.deletion_timestamp, meta.deletion_grace_period_seconds) == ("2026-01-01T00:00:00Z", 0)
        assert meta.generation == 5


def test_a_further_request_may_say_otherwise_while_a_finalizer_holds_it():
    """As the registry, which sets the policy's finalizers whenever no grace period is pending."""
    held, _ = deletion(named(ConfigMap, HOLD), NOW)
    orphaning, is_gone = deletion(held, NOW + SECOND, "Orphan")
    assert (orphaning.metadata.finalizers, is_gone) == ((HOLD, ORPHAN), False)
    assert orphaning.metadata.deletion_timestamp == held.metadata.deletion_timestamp
    assert orphaning.metadata.generation == held.metadata.generation
    waiting, _ = deletion(named(ConfigMap), NOW, "Foreground")
    assert deletion(waiting, NOW, "Background").is_gone
    assert deletion(held, NOW + SECOND).object is held


def test_a_pod_that_ends_can_be_asked_to_end_sooner_but_not_later():
    """Counted from when it was first asked to (``BeforeDelete``)."""
    ending, is_gone = deletion(running(), NOW)
    assert not is_gone
    assert ending.metadata.deletion_timestamp == format_time(NOW + 30 * SECOND)
    for asked in (None, 30, 60):
        assert deletion(ending, NOW + 5 * SECOND, "Orphan", asked).object is ending
    sooner, is_gone = deletion(ending, NOW + 5 * SECOND, grace_period=20)
    assert not is_gone
    assert sooner.metadata.deletion_timestamp == format_time(NOW + 20 * SECOND)
    assert sooner.metadata.deletion_grace_period_seconds == 20
    assert sooner.metadata.generation == ending.metadata.generation
    assert deletion(sooner, NOW, grace_period=-1).object.metadata.deletion_grace_period_seconds == 1
    assert deletion(sooner, NOW, grace_period=0).is_gone


def test_a_pod_that_a_finalizer_holds_stays_when_its_time_is_over():
    held, is_gone = deletion(running(HOLD), NOW, grace_period=0)
    assert not is_gone
    assert held.metadata.deletion_grace_period_seconds == 0
    assert not is_over(held)
    assert is_over(replace(held, metadata=replace(held.metadata, finalizers=())))


def test_a_namespace_is_terminating_until_it_is_finalized():
    namespace = replace(named(Namespace), spec=NamespaceSpec(finalizers=("kubernetes",)))
    ending, is_gone = deletion(namespace, NOW)
    assert (ending.status.phase, is_gone) == ("Terminating", False)
    assert deletion(ending, NOW + SECOND).object is ending
    empty = replace(ending, spec=NamespaceSpec())
    assert is_over(empty)
    assert deletion(empty, NOW).is_gone


@pytest.mark.parametrize(
    ("uid", "revision", "why"),
    [
        (None, None, None),
        ("u", "7", None),
        ("", None, "the UID in the precondition () does not match the UID in record (u)"),
        ("v", "8", "the UID in the precondition (v) does not match the UID in record (u)"),
        ("u", "8", "the ResourceVersion in the precondition (8) does not match the ResourceVersion in record (7)"),
    ],
)
def test_a_deletion_may_be_of_one_object_at_one_version_only(uid, revision, why):
    found = unmet(named(ConfigMap, uid="u"), "7", uid, revision)
    assert (found is None) == (why is None)
    assert (found or "").startswith(why or "")
