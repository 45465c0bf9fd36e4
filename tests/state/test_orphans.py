"""The index of objects that no controller manages: whatever happened, it answers as looking at all objects does."""

from hypothesis import given
from hypothesis import strategies as st

from state.objects import ObjectMeta, OwnerReference, Pod
from state.snapshot import Key, Snapshot
from state.workspace import Workspace

OWNERS = st.lists(
    st.builds(OwnerReference, uid=st.sampled_from("xy"), controller=st.sampled_from([None, True])), max_size=2
)
PODS = st.builds(
    lambda name, namespace, labels, owners: Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, labels=labels, owner_references=tuple(owners))
    ),
    st.sampled_from("abcd"),
    st.sampled_from(["n", "m"]),
    st.dictionaries(st.sampled_from("kl"), st.sampled_from("12")),
    OWNERS,
)


@given(st.lists(st.tuples(PODS, st.booleans()), max_size=20), st.dictionaries(st.sampled_from("kl"), st.just("1")))
def test_finds_orphans_as_a_look_at_all_objects_does(changes, labels):
    """All orphans that have the labels are among those found, and nothing else but orphans."""
    ws = Workspace(Snapshot())
    for pod, stays in changes:
        if stays:
            ws.put(pod)
        else:
            ws.remove(Key.of(pod))
    found = ws.orphans("n", Pod, labels)
    orphans = [
        pod
        for pod in ws.objects(Pod)
        if pod.metadata.namespace == "n" and not any(owner.controller for owner in pod.metadata.owner_references)
    ]
    assert [pod for pod in found if labels.items() <= pod.metadata.labels.items()] == [
        pod for pod in orphans if labels.items() <= pod.metadata.labels.items()
    ]
    assert all(pod in orphans for pod in found)
    assert ws.orphans("n", Pod, {}) == orphans
