"""The files of volumes made of API objects."""

import pytest
from kubelet_node import make, make_pod

from rules.kubelet.environment import ConfigError
from rules.kubelet.payload import File, objects_of, volume_files

OBJECTS = {
    "ConfigMap": {("default", "cm"): make("ConfigMap", "cm", data={"a": "1"}, binaryData={"b": "AAE="})},
    "Secret": {("default", "s"): make("Secret", "s", data={"key": "eA=="}, stringData={"plain": "y"})},
}


def files_of(**volume):
    pod = make_pod(metadata={"labels": {"x": "y"}}, volumes=[{"name": "v", **volume}])
    return volume_files(pod, pod.spec.volumes[0], lambda kind: OBJECTS.get(kind, {}))


def test_a_config_map_gives_a_file_for_each_key():
    assert files_of(configMap={"name": "cm"}) == {"a": File(b"1"), "b": File(b"\0\1")}


def test_items_choose_keys_paths_and_modes():
    items = [{"key": "a", "path": "deep/er", "mode": 0o400}]
    assert files_of(configMap={"name": "cm", "items": items}) == {"deep/er": File(b"1", 0o400)}


def test_a_secret_is_decoded():
    expected = {"key": File(b"x", 0o600), "plain": File(b"y", 0o600)}
    assert files_of(secret={"secretName": "s", "defaultMode": 0o600}) == expected


def test_downward_api_and_projected_sources_make_one_volume():
    sources = [
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "a"}]}},
        {"secret": {"name": "s", "items": [{"key": "key", "path": "k"}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"serviceAccountToken": {"path": "token"}},
    ]
    assert files_of(projected={"sources": sources}) == {
        "a": File(b"1"),
        "k": File(b"x"),
        "labels": File(b'x="y"'),
        "token": File(b""),
    }


def test_a_volume_of_another_kind_has_no_files():
    assert files_of(emptyDir={}) is None


def test_optional_objects_and_keys_may_be_missing():
    assert files_of(configMap={"name": "no", "optional": True}) == {}
    items = [{"key": "no", "path": "p"}]
    assert files_of(configMap={"name": "cm", "items": items, "optional": True}) == {}


def configured(key, path):
    return {"configMap": {"name": "cm", "items": [{"key": key, "path": path}]}}


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        (configured("no", "p"), "references non-existent configmap key: no"),
        (configured("a", "../p"), "'../p' is no path within a volume"),
        (configured("a", "/p"), "'/p' is no path within a volume"),
        (configured("a", "..data"), "'..data' is no path within a volume"),
    ],
)
def test_what_cannot_be_is_refused(volume, message):
    with pytest.raises(ConfigError) as error:
        files_of(**volume)
    assert str(error.value) == message


def test_the_objects_of_a_pods_volumes_are_known():
    volumes = [
        {"name": "a", "configMap": {"name": "cm"}},
        {"name": "b", "projected": {"sources": [{"secret": {"name": "s"}}]}},
    ]
    assert [str(key) for key in objects_of(make_pod(volumes=volumes))] == ["configmap/default/cm", "secret/default/s"]
