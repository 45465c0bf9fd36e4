"""How objects lie in a store."""

from __future__ import annotations

import pytest

from state.errors import InvalidObject
from state.load import from_dict
from state.snapshot import Key
from state.store.layout import decode, encode, path_of, prefix_of


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (Key("Pod", "default", "web-0"), "/registry/pods/default/web-0"),
        (Key("Node", "", "n1"), "/registry/nodes/n1"),
        (Key("Job.batch.volcano.sh", "default", "train"), "/registry/job.batch.volcano.sh/default/train"),
    ],
)
def test_keys(key, path):
    assert path_of(key) == path
    assert path.startswith(prefix_of(key.kind))
    assert path.startswith(prefix_of(key.kind, key.namespace))


def test_prefixes_of_kinds_and_namespaces_do_not_overlap():
    assert not path_of(Key("Pod", "default-2", "a")).startswith(prefix_of("Pod", "default"))
    assert not path_of(Key("EndpointSlice", "default", "a")).startswith(prefix_of("Endpoints"))


@pytest.mark.parametrize(
    "manifest",
    [
        {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "n"}},
        {"apiVersion": "batch.volcano.sh/v1", "kind": "Job", "spec": {"tasks": [1, {"a": 1.5}]}},
    ],
)
def test_an_object_comes_back_with_the_revision_of_its_entry(manifest):
    manifest["metadata"] = {"name": "a", "namespace": "default", "resourceVersion": "5", "labels": {"ä": "1"}}
    obj = from_dict(manifest)
    value = encode(obj)
    assert b"resourceVersion" not in value
    assert decode(value, 5) == obj
    assert decode(value, 7).metadata.resource_version == "7"
    assert encode(decode(value, 7)) == value


@pytest.mark.parametrize(
    "value", [b"", b"{", b"\xff", b"[]", b"null", b"{}", b'{"apiVersion":"v1","kind":"Pod","metadata":1}']
)
def test_what_is_no_object_is_refused(value):
    with pytest.raises(InvalidObject, match=r"."):
        decode(value, 1)
