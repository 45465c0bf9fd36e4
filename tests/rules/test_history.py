"""ControllerRevisions: names as Kubernetes gives them, and what is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW
from recorded import load_case

from reconciler.cycle import Cycle
from rules.daemonsets import DaemonSets
from rules.history import patch_hash, patch_of, surplus_revisions, template_of
from rules.statefulsets import StatefulSets
from state.defaults import default
from state.load import from_dict
from state.objects import (
    ControllerRevision,
    DaemonSet,
    DaemonSetSpec,
    LabelSelector,
    Node,
    ObjectMeta,
    Opaque,
    Pod,
    StatefulSet,
    replace,
)
from state.snapshot import Snapshot


def recorded_set():
    step = next(step for step in load_case("sts-ordered-create")["steps"] if step["op"] == "http")
    metadata = {"name": "w", "namespace": "ns", "uid": "w"}
    return default(from_dict({**step["body"], "metadata": metadata}))


def test_a_template_comes_back_as_it_was():
    """A revision loses nothing of the template."""
    template = recorded_set().spec.template
    assert template_of(ControllerRevision(data=patch_of(template))) == template


@pytest.mark.parametrize("text", ["<", ">", "&", "\u2028", "\u2029"])
def test_hashes_what_go_would_write(text):
    """Go's JSON escapes a few letters, which goes into the hash."""
    escaped = {"<": "003c", ">": "003e", "&": "0026"}.get(text, f"{ord(text):04x}")
    assert patch_hash(Opaque({"a": text}), 0) != patch_hash(Opaque({"a": f"\\u{escaped}"}), 0)
    assert patch_hash(Opaque({"a": text}), 0) != patch_hash(Opaque({"a": text}), 1)


def test_a_name_that_is_taken_is_passed_by():
    """Another template under the same name counts as a collision, which gives another name."""
    other = ControllerRevision(metadata=ObjectMeta(name="w-8965cb899", namespace="ns", uid="o"), data=Opaque({}))
    cycle = Cycle(Snapshot.of([recorded_set(), other]), [StatefulSets()])
    cycle.settle(NOW)
    (sts,) = cycle.ws.objects(StatefulSet)
    assert sts.status.collision_count == 1
    assert sts.status.update_revision not in (None, "w-8965cb899")


def revisions_of(obj, *concerns):
    cycle = Cycle(Snapshot.of([replace(obj, metadata=replace(obj.metadata, name="w" * 250))]), concerns)
    cycle.settle(NOW)
    return cycle, [each.metadata.name for each in cycle.ws.objects(ControllerRevision)]


def test_a_long_name_of_a_stateful_set_is_cut():
    """So that there is room for the hash."""
    (name,) = revisions_of(recorded_set(), StatefulSets())[1]
    assert name.rpartition("-")[0] == "w" * 223


def test_a_daemon_set_with_too_long_a_name_has_no_revision_and_no_pods():
    """Its name isn't cut, and the revision's would be too long. Kubernetes records no event of that."""
    spec = DaemonSetSpec(selector=LabelSelector(match_labels={"app": "a"}), template=recorded_set().spec.template)
    daemon_set = default(DaemonSet(metadata=ObjectMeta(name="w", namespace="ns", uid="w"), spec=spec))
    node = Node(metadata=ObjectMeta(name="n", uid="n"))
    cycle, revisions = revisions_of(daemon_set, DaemonSets())
    cycle.ws.put(node)
    cycle.settle(NOW)
    assert (revisions, cycle.ws.objects(Pod), cycle.ctx.events) == ([], [], [])
    (said,) = cycle.ctx.notes.values()
    assert said.why.endswith("must be no more than 253 characters")


@given(st.integers(0, 8), st.sets(st.integers(0, 7)), st.one_of(st.none(), st.integers(0, 4)))
def test_what_is_used_stays(count, used, limit):
    """Only unused revisions go, the oldest first, down to the limit."""
    revisions = [ControllerRevision(metadata=ObjectMeta(name=f"r{i}"), revision=i) for i in range(count)]
    live = {f"r{i}" for i in used}
    gone = surplus_revisions(revisions, live, limit)
    dead = [item for item in revisions if item.metadata.name not in live]
    assert gone == dead[: len(gone)]
    assert len(dead) - len(gone) == min(len(dead), 10 if limit is None else limit)
