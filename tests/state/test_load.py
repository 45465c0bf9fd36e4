"""Manifests of every form become typed objects, or are refused with all that is wrong."""

import copy
import datetime as dt
import json
from collections import OrderedDict
from types import MappingProxyType

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrsistent import freeze

from state.dump import dump
from state.errors import InvalidObject
from state.load import Loaded, LoadError, from_dict, load, load_strictly
from state.objects import CustomObject, Deployment, Opaque, Pod, Service, StatefulSet, kind_key

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "web:1",
                "args": ["a"],
                "securityContext": {"runAsUser": 0},
                "resources": {"requests": {"cpu": 0.5, "memory": "1Gi"}},
            }
        ]
    },
}
YAML = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {app: web}
spec:
  containers:
  - name: c
    image: web:1
    args: [a]
    securityContext: {runAsUser: 0}
    resources: {requests: {cpu: 0.5, memory: 1Gi}}
"""
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2}}


def pod(name="web", **spec):
    return {**POD, "metadata": {"name": name}, "spec": {**POD["spec"], **spec}}


def names(loaded):
    return [obj.metadata.name for obj in loaded.objects]


def problems(source, **options):
    """The texts of the problems of the one refused manifest."""
    (refusal,) = load(source, **options).refused
    return [str(problem) for problem in refusal.problems]


# -- forms of sources --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        POD,
        [POD],
        (POD,),
        iter([POD]),
        OrderedDict(POD),
        MappingProxyType(POD),
        freeze(POD),
        json.dumps(POD),
        json.dumps(POD).encode(),
        bytearray(json.dumps([POD]).encode()),
        {"apiVersion": "v1", "kind": "List", "items": [POD]},
        {"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "5"}, "items": [POD]},
        [{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "List", "items": [POD]}]}],
        from_dict(POD),
        [from_dict(POD)],
        YAML,
    ],
    ids=lambda source: type(source).__name__,
)
def test_every_form_gives_the_same_object(source):
    """Plain data of all sorts, text, lists, typed objects."""
    loaded = load(source)
    assert loaded == Loaded((from_dict(POD),), (), (), loaded.origins)


def test_items_of_typed_lists_need_no_kind():
    """API servers leave it out."""
    source = {"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"name": "a"}}, DEPLOYMENT]}
    first, second = load_strictly(source)
    assert isinstance(first, Deployment)
    assert second == from_dict(DEPLOYMENT)


def test_lists_of_custom_resources_are_lists():
    """But a resource that is called some list isn't, if it has a name."""
    things = load_strictly({"apiVersion": "x.io/v1", "kind": "ThingList", "items": [{"metadata": {"name": "a"}}]})
    assert [kind_key(thing) for thing in things] == ["Thing.x.io"]
    (allowed,) = load_strictly({"apiVersion": "x.io/v1", "kind": "AllowList", "metadata": {"name": "a"}, "items": [1]})
    assert kind_key(allowed) == "AllowList.x.io"


@pytest.mark.parametrize("items", [None, [], ()])
def test_empty_lists_are_empty(items):
    """Null items are what Go writes for no items."""
    assert load({"apiVersion": "v1", "kind": "List", "items": items}) == Loaded()
    assert load({"apiVersion": "v1", "kind": "PodList", "items": items}) == Loaded()
    assert load([]) == load("") == load({"apiVersion": "v1", "kind": "List"}) == Loaded()


def test_one_page_of_a_list_is_noticed():
    """Half a cluster must not pass for the whole."""
    source = {"apiVersion": "v1", "kind": "PodList", "metadata": {"continue": "abc"}, "items": [POD]}
    loaded = load(source, origin="pods.json")
    assert names(loaded) == ["web"]
    assert loaded.warnings == ("pods.json: is one page of a longer list (metadata.continue is set)",)


def test_lists_of_lists_have_bounds():
    """Even one that contains itself twice comes to an end."""
    circle = [POD]
    circle += [circle, circle]
    loaded = load(circle)
    assert 1 < len(loaded.objects) < 1_000
    assert str(loaded.refused[0].problems[0]) == "Invalid value: lists must not be nested deeper than 8 levels"


def test_origins_name_the_place():
    """Of objects and of refusals: the file, the document if there are several, the item if it is a list."""
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\nkind: List\napiVersion: v1\nitems: [{kind: Pod}, 5]\n"
    loaded = load(text, origin="web.yaml")
    assert loaded.origins == ("web.yaml, document 1",)
    assert [refusal.origin for refusal in loaded.refused] == [
        "web.yaml, document 2, items[0]",
        "web.yaml, document 2, items[1]",
    ]
    assert load(json.dumps(POD), origin="web.json").origins == ("web.json",)
    assert load([POD, [POD]], origin="desired").origins == ("desired[0]", "desired[1][0]")


def test_sources_are_neither_changed_nor_kept():
    """Writing to a manifest afterwards does not reach the object, and loading does not write to the manifest."""
    manifest = copy.deepcopy({**POD, "spec": {**POD["spec"], "nodeSelector": {"a": "b"}, "nodeName": "n"}})
    before = copy.deepcopy(manifest)
    custom = {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"list": [1]}}
    old = {"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {}}}
    loaded = load([manifest, custom, old])
    objects = copy.deepcopy(loaded.objects)
    assert manifest == before
    assert old["apiVersion"] == "apps/v1beta1"
    manifest["metadata"]["labels"]["x"] = "y"
    manifest["spec"]["nodeSelector"].clear()
    manifest["spec"]["containers"][0]["securityContext"]["runAsUser"] = 5
    manifest["spec"]["containers"].append({})
    custom["spec"]["list"].append(2)
    assert loaded.objects == objects


def test_pods_of_one_template_share_their_spec():
    """The same object if they are not bound, the same parts if they are."""
    first, second, bound, other = load_strictly(
        [pod("a"), pod("b"), pod("c", nodeName="n"), pod("d", hostNetwork=True)]
    )
    assert first.spec is second.spec
    assert bound.spec.containers is first.spec.containers
    assert bound.spec.node_name == "n"
    assert first.spec.node_name is None
    assert other.spec.host_network is True


# -- kinds -------------------------------------------------------------------------------------------------------------


def test_kinds_without_a_type_are_carried():
    """Custom resources, built-in kinds that nothing here interprets, and kinds that only share a name."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "annotations": {"a": "b"}},
        "rules": [{"verbs": ["get"], "resourceNames": None}],
    }
    job = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"generateName": "j-"}, "spec": {}}
    objects = load_strictly([role, job])
    assert [kind_key(obj) for obj in objects] == ["Role.rbac.authorization.k8s.io", "Job.batch.volcano.sh"]
    assert all(isinstance(obj, CustomObject) for obj in objects)
    assert [dump(obj) for obj in objects] == [role, job]
    assert objects[0].body == Opaque({"rules": role["rules"]})


@pytest.mark.parametrize(
    ("manifest", "texts"),
    [
        ({"apiVersion": "x.io/v1", "kind": "T"}, ["metadata.name: Required value: name or generateName is required"]),
        (
            {"apiVersion": "x.io/v1", "kind": "T", "metadata": {"name": "a", "labels": {"b": 1}}, "spec": {1: 2}},
            [
                "metadata.labels[b]: Invalid value: 1: must be a string, not an integer",
                "spec[1]: Invalid value: the key must be a string, not an integer",
            ],
        ),
        ({}, ["apiVersion: Required value", "kind: Required value"]),
        ({"apiVersion": "", "kind": None}, ["apiVersion: Required value", "kind: Required value"]),
        (
            {"apiVersion": 1, "kind": ["Pod"]},
            [
                "apiVersion: Invalid value: must be a string, not an integer",
                "kind: Invalid value: must be a string, not a list",
            ],
        ),
        ({**POD, "metadata": "x"}, ['metadata: Invalid value: "x": must be an object, not a string']),
        ({**POD, "spec": [1]}, ["spec: Invalid value: must be an object, not a list"]),
        (
            {"apiVersion": "v1", "kind": "List", "items": {"a": 1}},
            ["items: Invalid value: must be a list, not an object"],
        ),
        *(
            ([value], [f"Invalid value: must be an object with apiVersion and kind, not {word}"])
            for value, word in ((5, "an integer"), ("x", "a string"), (None, "null"), (1.5, "a floating-point number"))
        ),
    ],
)
def test_what_is_no_object_is_refused(manifest, texts):
    """With the path and what was found and expected."""
    assert problems(manifest) == texts


def test_text_that_is_no_object_is_refused():
    """A scalar document, and a broken one."""
    assert problems("just text") == ["Invalid value: must be an object with apiVersion and kind, not a string"]
    assert problems("a: [") == [
        "Invalid value: line 2, column 1: did not find expected node content while parsing a flow node"
    ]


# -- types -------------------------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once():
    """Types, ranges, unknown fields, over the whole object."""
    manifest = {
        **POD,
        "foo": 1,
        "spec": {
            "containers": [
                {
                    "name": 5,
                    "image": ["x"],
                    "args": "echo",
                    "env": [{"name": "A", "value": True}, "B=1"],
                    "ports": [{"containerPort": "http"}, {"containerPort": 3_000_000_000}],
                    "resources": {"requests": {"cpu": True, "memory": None}, "limits": []},
                    "bar": None,
                }
            ],
            "hostNetwork": "true",
            "priority": 1.5,
            "nodeSelector": {"a": {}},
        },
    }
    container, quantity = "spec.containers[0]", "must be a quantity (a string or a number)"
    assert problems(manifest) == [
        f"{container}.name: Invalid value: 5: must be a string, not an integer",
        f"{container}.image: Invalid value: must be a string, not a list",
        f'{container}.args: Invalid value: "echo": must be a list, not a string',
        f"{container}.env[0].value: Invalid value: true: must be a string, not a boolean",
        f'{container}.env[1]: Invalid value: "B=1": must be an object, not a string',
        f'{container}.ports[0].containerPort: Invalid value: "http": must be an integer, not a string',
        f"{container}.ports[1].containerPort: Invalid value: 3000000000: must be between -2147483648 and 2147483647",
        f"{container}.resources.requests[cpu]: Invalid value: true: {quantity}, not a boolean",
        f"{container}.resources.limits: Invalid value: must be a map, not a list",
        'spec.hostNetwork: Invalid value: "true": must be a boolean, not a string',
        "spec.priority: Invalid value: 1.5: must be an integer, not a floating-point number",
        "spec.nodeSelector[a]: Invalid value: must be a string, not an object",
        f'{container}.bar: Forbidden: strict decoding error: unknown field "{container}.bar"',
        'foo: Forbidden: strict decoding error: unknown field "foo"',
    ]


def test_null_is_absent():
    """In a field; in a list or map it is the zero value, as Go has it."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "labels": None, "annotations": {"a": None}, "ownerReferences": None},
        "spec": {
            "containers": [{"name": "c", "args": [None, "b"], "resources": {"limits": {"cpu": None}}, "env": [None]}],
            "volumes": None,
            "hostNetwork": None,
            "securityContext": None,
            "tolerations": [{"key": None}],
        },
        "status": None,
    }
    assert dump(from_dict(manifest)) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "annotations": {"a": ""}},
        "spec": {
            "containers": [
                {"name": "c", "args": ["", "b"], "resources": {"limits": {"cpu": "0"}}, "env": [{"name": ""}]}
            ],
            "tolerations": [{}],
        },
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1, 2}, "must be a JSON value, not a Python set"),
        (b"x", "must be a JSON value, not a Python bytes"),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "must be a JSON value, not a Python datetime"),
        (float("nan"), "must be a finite number, not nan"),
        ([float("-inf")], "must be a finite number, not -inf"),
        (2**64, "must be an integer of at most 64 bits"),
        ("\ud800", "must be valid Unicode, without lone surrogates"),
        ({"\udc00": 1}, "must be valid Unicode, without lone surrogates"),
        ({None: 1}, "the key must be a string, not null"),
    ],
)
@pytest.mark.parametrize("kind", ["typed", "custom"])
def test_only_json_values_are_carried(kind, value, text):
    """Uninterpreted fields take what JSON can write, and name what it can't."""
    if kind == "typed":
        manifest, place = pod(securityContext={"a": value}), "spec.securityContext.a"
    else:
        manifest = {"apiVersion": "x.io/v1", "kind": "T", "metadata": {"name": "a"}, "spec": {"a": value}}
        place = "spec.a"
    (told,) = problems(manifest)
    assert told.startswith(place)
    assert told.endswith(text)
    assert orjson.dumps(load(manifest).refused[0].to_dict())


@pytest.mark.parametrize(
    "change",
    [
        {"finalizers": {"a", "b"}},
        {"labels": {"a": "\ud800"}},
        {"name": "\ud800"},
        {"name": b"x"},
        {"creationTimestamp": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"labels": {1: "x"}},
    ],
)
def test_typed_fields_take_json_values_only(change):
    """A set has no order, a surrogate can't be written, and dates are text."""
    assert problems({**POD, "metadata": {"name": "x", **change}})


def test_quantities_are_kept_as_written():
    """Numbers as numbers; what exceeds 64 bits as text, since it is a quantity all the same."""
    limits = {"cpu": 2, "memory": 1.5, "a/b": "1e3", "c/d": 2**70}
    (obj,) = load_strictly(pod(containers=[{"name": "c", "resources": {"limits": limits}}]))
    assert obj.spec.containers[0].resources.limits == {**limits, "c/d": str(2**70)}
    assert problems(pod(containers=[{"resources": {"limits": {"cpu": float("nan")}}}])) == [
        "spec.containers[0].resources.limits[cpu]: Invalid value: must be a finite number, not nan"
    ]


def test_deep_values_are_refused():
    """Deeper than anything can be written again."""
    deep = []
    for _ in range(500):
        deep = [deep]
    (told,) = problems(pod(securityContext={"a": deep}))
    assert told.startswith("spec.securityContext")
    assert told.endswith("must not be nested deeper than 200 levels")


def test_long_values_are_cut_in_messages():
    """A megabyte in the wrong place makes no message of a megabyte."""
    (told,) = problems(pod(hostNetwork="x" * 1_000_000))
    assert len(told) < 300


def test_claim_templates_are_claims():
    """The only objects within objects: their kind may be said, must be right, and their fields are known."""
    template = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    manifest = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "x"}}
    (obj,) = load_strictly({**manifest, "spec": {"volumeClaimTemplates": [template, {"metadata": {"name": "b"}}]}})
    assert isinstance(obj, StatefulSet)
    assert [claim.metadata.name for claim in obj.spec.volume_claim_templates] == ["data", "b"]
    place = "spec.volumeClaimTemplates[0]"
    assert problems({**manifest, "spec": {"volumeClaimTemplates": [{**template, "kind": "Pod", "x": 1}]}}) == [
        f'{place}.kind: Invalid value: "Pod": must be "PersistentVolumeClaim" here',
        f'{place}.x: Forbidden: strict decoding error: unknown field "{place}.x"',
    ]


# -- unknown fields and repeated keys ----------------------------------------------------------------------------------


SLOPPY = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  portz: []
  type: ClusterIP
"""


def test_strictly_sloppiness_is_refused():
    """As ``kubectl --validate=strict`` does."""
    assert problems(SLOPPY) == [
        'spec.type: Duplicate value: line 7: key "type" already set in map',
        'spec.portz: Forbidden: strict decoding error: unknown field "spec.portz"',
    ]


def test_sloppiness_can_be_taken_with_a_warning():
    """The last value counts, the unknown field is dropped, and both are told."""
    loaded = load(SLOPPY, validation="warn", origin="web.yaml")
    (obj,) = loaded.objects
    assert isinstance(obj, Service)
    assert obj.spec.type == "ClusterIP"
    assert loaded.warnings == (
        'web.yaml: service/shop/web: spec.portz: strict decoding error: unknown field "spec.portz"',
        'web.yaml: service/shop/web: spec.type: line 7: key "type" already set in map',
    )


def test_sloppiness_can_be_ignored():
    """As ``kubectl --validate=ignore`` does; types are checked all the same."""
    loaded = load(SLOPPY, validation="ignore")
    assert loaded.warnings == ()
    assert len(loaded.objects) == 1
    assert problems({**POD, "spec": {"x": 1, "hostNetwork": 1}}, validation="ignore") == [
        "spec.hostNetwork: Invalid value: 1: must be a boolean, not an integer"
    ]


def test_repeated_keys_concern_their_item_alone():
    """In a List of YAML; a key of the List itself concerns all, since nobody knows what was lost."""
    item = "- {apiVersion: v1, kind: Pod, metadata: {name: %s}}\n"
    text = f"apiVersion: v1\nkind: List\nitems:\n{item % 'a'}{item % 'b, name: c'}{item % 'd'}"
    loaded = load(text)
    assert names(loaded) == ["a", "d"]
    assert [str(refusal) for refusal in loaded.refused] == [
        'items[1]: pod/c: metadata.name: Duplicate value: line 5: key "name" already set in map'
    ]
    assert len(load(f"{text}items:\n{item % 'e'}").refused) == 1
    assert load(f"{text}items:\n{item % 'e'}", validation="warn").warnings


def test_repeated_keys_in_json_are_refused():
    """Their place is not known, but the key is."""
    text = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "name": "b"}}'
    assert problems(text) == ['Duplicate value: already set in map: key "name"']
    assert load(text, validation="warn").warnings == ('pod/b: already set in map: key "name"',)


# -- YAML's traps ------------------------------------------------------------------------------------------------------


def test_unquoted_text_is_explained():
    """A wrong type that YAML made of text says so."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: no\n  b: 0100\n  c: 5\n  d: 2026-01-01\n"
    no, octal = "YAML reads no as the boolean false (line 5)", "YAML reads 0100 as an octal number, 64 (line 6)"
    assert problems(text) == [
        f"data[a]: Invalid value: false: must be a string, not a boolean; {no}; quote it",
        f"data[b]: Invalid value: 64: must be a string, not an integer; {octal}; quote it",
        "data[c]: Invalid value: 5: must be a string, not an integer; quote it",
    ]


def test_traps_where_nothing_is_wrong_are_warned_of():
    """A custom resource takes any value, also one that was meant otherwise."""
    item = "- apiVersion: x.io/v1\n  kind: T\n  metadata: {name: a}\n"
    loaded = load(f"kind: List\napiVersion: v1\nitems:\n{item}  y: 'off'\n  mode: 0644\n{item}  z: off\n")
    assert [obj.body.value for obj in loaded.objects] == [{"true": "off", "mode": 420}, {"z": False}]
    assert loaded.warnings == (
        "items[0]: t.x.io/a: true: YAML reads the key y as the boolean true (line 7)",
        "items[1]: t.x.io/a: z: YAML reads off as the boolean false (line 12)",
    )


# -- errors ------------------------------------------------------------------------------------------------------------


def test_one_bad_object_never_costs_the_others():
    """In a list, in a List, in text."""
    bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": 5}
    for source in (
        [pod("a"), bad, pod("b"), 5, None],
        {"apiVersion": "v1", "kind": "List", "items": [pod("a"), bad, pod("b")]},
        "\n---\n".join(map(json.dumps, [pod("a"), bad, pod("b")])) + "\n---\n{[\n",
        "\n".join(map(json.dumps, [pod("a"), bad, pod("b")])),
    ):
        loaded = load(source)
        assert names(loaded) == ["a", "b"]
        assert str(loaded.refused[0].key) == "pod/bad"


def test_strict_loading_tells_everything():
    """One error with every refusal, each with its origin."""
    with pytest.raises(LoadError) as caught:
        load_strictly([POD, {"kind": "Pod"}, {**POD, "spec": 5}], origin="x")
    assert isinstance(caught.value, InvalidObject)
    assert len(caught.value.problems) == 2
    assert str(caught.value).splitlines() == [
        "x[1]: apiVersion: Required value",
        "x[2]: pod/shop/web: spec: Invalid value: 5: must be an object, not an integer",
    ]
    assert caught.value.refused[1].to_dict() == {
        "origin": "x[2]",
        "object": "pod/shop/web",
        "problems": [
            {
                "path": "spec",
                "message": "Invalid value: 5: must be an object, not an integer",
                "reason": "TypeInvalid",
                "value": 5,
            }
        ],
    }


def test_from_dict_raises():
    """For callers with one manifest."""
    assert isinstance(from_dict(POD), Pod)
    with pytest.raises(InvalidObject, match="apiVersion: Required value"):
        from_dict({"kind": "Pod"})


def test_parts_are_joined_in_order():
    """Files are loaded one by one."""
    first, second = load(POD, origin="a"), load([DEPLOYMENT, 5], origin="b")
    joined = Loaded.joined([first, second])
    assert joined.objects == first.objects + second.objects
    assert joined.refused == second.refused
    assert joined.origins == ("a", "b[0]")


# -- properties --------------------------------------------------------------------------------------------------------


MANGLED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(["v1", "Pod", "List", "Deployment", "apps/v1", "apps/v1beta1", "x.io/v1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["apiVersion", "kind", "metadata", "spec", "items", "name", "containers", "template", "x"])
            | st.text(max_size=3)
            | st.integers(),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(MANGLED)
def test_nothing_crashes(value):
    """Whatever comes in, each manifest becomes an object that can be written again or is refused with a reason."""
    loaded = load([value])
    for refusal in loaded.refused:
        assert refusal.problems
        assert orjson.dumps(refusal.to_dict())
    for obj in loaded.objects:
        assert from_dict(dump(obj)) == obj


@given(st.data())
def test_a_spoilt_manifest_names_the_spoilt_place(data):
    """Putting something wrong anywhere is refused with exactly that path."""
    manifest = copy.deepcopy(POD)
    place, path = manifest, ""
    while True:
        steps = [step for step, value in (place.items() if isinstance(place, dict) else enumerate(place))]
        step = data.draw(
            st.sampled_from([step for step in steps if step not in ("apiVersion", "kind", "securityContext")])
        )
        bracket = isinstance(step, int) or path.endswith(("labels", "requests"))
        path += f"[{step}]" if bracket else f".{step}"
        if not isinstance(place[step], dict | list) or data.draw(st.booleans()):
            place[step] = {1, 2}
            break
        place = place[step]
    (refusal,) = load(manifest).refused
    assert [problem.path for problem in refusal.problems] == [path.removeprefix(".")]
