"""Server-side apply as recorded from a real API server, and what its parts promise."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_faults import faults
from reconciler.apiserver.apply_fields import difference, intersection, members, shown, union
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.apply_shapes import shape_of, shape_of_custom
from reconciler.apiserver.apply_walk import compare, fields_of, merge
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.http import Application
from reconciler.apiserver.options import Sender
from reconciler.apiserver.routes import target
from reconciler.apiserver.status import ApiError
from state.objects import Deployment, Pod, Service
from state.store.memory import MemoryStore

#: The clock stands still: owners of fields are in the order of their seconds, and then of their names.
NOW = 1_767_225_600_000_000
RECORDED = json.loads((Path(__file__).parents[2] / "golden" / "controllers" / "api-server-side-apply.json").read_text())
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"


class Client:
    """Sends requests to an application without HTTP."""

    def __init__(self) -> None:
        api = Api(MemoryStore(), clock=lambda: NOW, fields=ManagedFields())
        bootstrap(api)
        self.application = Application(api)

    def __call__(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        path, _, text = path.partition("?")
        try:
            answer = self.application.perform(
                target(self.application.api.registry, path, method),
                parse_qs(text, keep_blank_values=True),
                b"" if body is None else json.dumps(body).encode(),
                content_type,
                Sender("python-requests/2"),
            )
        except ApiError as error:
            return error.code, error.to_dict()
        return answer.code, answer.document


@pytest.fixture
def client() -> Client:
    return Client()


def _comparable(value: Any) -> Any:
    """As the recordings are normalised: no uid, no revision, times as <time>."""
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if not isinstance(value, dict):
        return value
    dropped = ("uid", "resourceVersion", "creationTimestamp")
    return {key: "<time>" if key == "time" else _comparable(item) for key, item in value.items() if key not in dropped}


def test_the_recorded_case(client: Client) -> None:
    """Ownership, removal, conflicts, force, sharing: each response is the real API server's."""
    assert client("POST", "/api/v1/namespaces", {"metadata": {"name": "ns"}})[0] == 201
    expected = RECORDED["expected"]["responses"]
    for number, step in enumerate(RECORDED["steps"]):
        path = step["path"].replace("{ns}", "ns")
        code, document = client(step["method"], path, step["body"], step["contentType"])
        wanted = json.loads(json.dumps(expected[str(number)]).replace("{ns}", "ns"))
        assert code == wanted["code"], (number, document)
        if "body" in wanted:
            assert _comparable(document) == wanted["body"], number
        for name, value in wanted.get("status", {}).items():
            assert document.get(name) == value, number


CONFIG_MAP = "/api/v1/namespaces/default/configmaps/a"


def _config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def _managers(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{each['manager']} {each['operation']}": each["fieldsV1"] for each in document["metadata"]["managedFields"]
    }


def test_a_plain_creation_is_owned_by_its_user_agent(client: Client) -> None:
    """Maps that weren't there before are owned themselves, too."""
    _, document = client("POST", CONFIG_MAP.rpartition("/")[0], _config_map(x="1"))
    assert _managers(document) == {"python-requests Update": {"f:data": {".": {}, "f:x": {}}}}


def test_a_change_takes_the_field_from_its_owner(client: Client) -> None:
    """An update doesn't ask; whoever owned the field before has it no more."""
    client("PATCH", f"{CONFIG_MAP}?fieldManager=one", _config_map(x="1", y="1"), APPLY)
    _, document = client("PATCH", f"{CONFIG_MAP}?fieldManager=two", {"data": {"x": "2"}}, MERGE)
    assert _managers(document) == {"one Apply": {"f:data": {"f:y": {}}}, "two Update": {"f:data": {"f:x": {}}}}


def test_an_apply_that_changes_nothing_stores_nothing(client: Client) -> None:
    """The resourceVersion stays."""
    first = client("PATCH", f"{CONFIG_MAP}?fieldManager=one", _config_map(x="1"), APPLY)[1]
    again = client("PATCH", f"{CONFIG_MAP}?fieldManager=one", _config_map(x="1"), APPLY)[1]
    assert again == first


def test_several_conflicts_are_all_named(client: Client) -> None:
    """The message lists them by manager."""
    client("PATCH", f"{CONFIG_MAP}?fieldManager=one", _config_map(x="1", y="1"), APPLY)
    code, status = client("PATCH", f"{CONFIG_MAP}?fieldManager=two", _config_map(x="2", y="2"), APPLY)
    assert (code, status["message"]) == (
        409,
        'Apply failed with 2 conflicts: conflicts with "one":\n- .data.x\n- .data.y',
    )


def test_old_updates_are_put_together(client: Client) -> None:
    """However many clients change an object, the record stays short."""
    client("POST", CONFIG_MAP.rpartition("/")[0], _config_map(first="1"))
    for number in range(30):
        _, document = client("PATCH", f"{CONFIG_MAP}?fieldManager=m{number}", {"data": {f"k{number}": "1"}}, MERGE)
    fields = document["metadata"]["managedFields"]
    assert len(fields) == 10
    assert any(each["manager"] == "ancient-changes" for each in fields)


def test_items_of_keyed_lists_are_owned_one_by_one() -> None:
    """Ports have two keys, the second with a default."""
    service = {"spec": {"ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}], "selector": {"a": "b"}}}
    fields = fields_of(service, shape_of(Service))["f:spec"]
    assert sorted(fields["f:ports"]) == ['k:{"port":80,"protocol":"TCP"}', 'k:{"port":80,"protocol":"UDP"}']
    assert fields["f:selector"] == {}


def test_live_items_keep_their_place() -> None:
    """Containers that only the live object has stay before those that they were before, as structured-merge-diff."""
    live = {"spec": {"containers": [{"name": "sidecar"}, {"name": "c", "image": "1"}]}}
    applied = {"spec": {"containers": [{"name": "new"}, {"name": "c", "image": "2"}]}}
    merged = merge(live, applied, shape_of(Pod))
    assert [item["name"] for item in merged["spec"]["containers"]] == ["sidecar", "new", "c"]
    assert merged["spec"]["containers"][2]["image"] == "2"


def test_faults_name_the_path() -> None:
    """Unknown fields, items without their key, and items twice."""
    omits = 'omits all key fields ["name"] (and doesn\'t have default values for any key fields)'
    omitting = f"associative list with keys has an element that {omits}"
    pod: dict[str, Any] = {"spec": {"containers": [{"name": "c", "imagee": "x"}, {"image": "y"}, {"name": "c"}]}}
    assert list(faults(pod, shape_of(Pod))) == [
        '.spec.containers[name="c"].imagee: field not declared in schema',
        f".spec.containers: element 1: {omitting}",
    ]
    pod = {
        "spec": {"containers": [{"name": "c"}, {"name": "c", "image": 5}], "nodeName": [1], "nodeSelector": {"a": {}}}
    }
    assert list(faults(pod, shape_of(Pod))) == [
        '.spec.containers: duplicate entries for key [name="c"]',
        '.spec.containers[name="c"].image: expected string, got &value.valueUnstructured{Value:5}',
        ".spec.nodeName: expected string, got &value.valueUnstructured{Value:[]interface {}{1}}",
        ".spec.nodeSelector.a: expected string, got &value.valueUnstructured{Value:map[string]interface {}{}}",
    ]


def test_nothing_is_refused_of_a_kind_without_a_schema() -> None:
    """Its maps are granular, its lists owned as a whole."""
    value = {"spec": {"a": {"b": [1, 2]}}}
    assert list(faults(value, shape_of_custom(None))) == []
    assert fields_of(value, shape_of_custom(None)) == {"f:spec": {".": {}, "f:a": {"f:b": {}}}}


_VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=12,
)
_MAPS = st.dictionaries(st.sampled_from(["spec", "data", "status"]), _VALUES, max_size=3)


@given(_MAPS, _MAPS)
def test_sets_behave_as_sets_of_paths(left: Any, right: Any) -> None:
    """Union, difference and intersection of trees are those of their members."""
    shape = shape_of_custom(None)
    a, b = fields_of(left, shape), fields_of(right, shape)
    paths, others = set(members(a)), set(members(b))
    assert set(members(union(a, b))) == paths | others
    assert union(a, b, {}, a) == union(union(b, a), a)
    assert set(members(difference(a, b))) == paths - others
    assert set(members(intersection(a, b))) == paths & others


@given(_MAPS, _MAPS)
def test_what_is_applied_is_there(live: Any, applied: Any) -> None:
    """Applying a value twice is applying it once, and it differs from the live one only in what was applied."""
    shape = shape_of_custom(None)
    once = merge(live, applied, shape)
    assert merge(once, applied, shape) == once
    assert set(members(compare(live, live, shape).changed)) == set()


def test_paths_read_as_in_messages() -> None:
    """Fields, items by key, items of sets."""
    assert shown(("f:spec", 'k:{"port":80,"protocol":"TCP"}', "f:x")) == '.spec[port=80,protocol="TCP"].x'
    assert shown(("f:finalizers", 'v:"a"')) == '.finalizers[="a"]'


def test_selectors_are_owned_as_a_whole() -> None:
    """A LabelSelector is atomic."""
    fields = fields_of({"spec": {"selector": {"matchLabels": {"a": "b"}}}}, shape_of(Deployment))
    assert fields == {"f:spec": {"f:selector": {}}}
