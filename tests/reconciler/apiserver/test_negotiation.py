"""What a client accepts, where it goes, and which options go together: as a real API server of 1.36 took them."""

from __future__ import annotations

import orjson
import pytest

from reconciler.apiserver.auth import attributes
from reconciler.apiserver.options import DeleteOptions, ListOptions, delete_body
from reconciler.apiserver.render import data, media_of_error, negotiate
from reconciler.apiserver.resources import Registry
from reconciler.apiserver.routes import UnknownPathError, target
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.tables import included

REGISTRY = Registry()
JSON, YAML = "application/json", "application/yaml"
META = "g=meta.k8s.io;v=v1"
PODS = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize(
    ("accept", "media", "kind"),
    [
        ("", JSON, ""),
        ("*", JSON, ""),
        (f"{JSON};q=0.1,{YAML}", YAML, ""),
        (f"{YAML};q=0.2,{JSON};q=0.8", JSON, ""),
        (f"*/*;q=0.1,{YAML};q=0.1", YAML, ""),
        ("application/*;q=0.5,application/yaml;q=0.5", YAML, ""),
        (f"{JSON};as=Table;{META};q=0.5,{YAML};q=0.9", YAML, ""),
        (f"{JSON};as=Table;{META},{JSON}", JSON, "Table"),
        (f"{JSON};as=Foo;{META},{JSON}", JSON, ""),
        (f"{JSON};as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io,{JSON}", JSON, ""),
        (f"{JSON};q=x", JSON, ""),
    ],
)
def test_the_form_that_is_liked_best(accept, media, kind):
    """By quality, then what is named before what is not, then the first."""
    form = negotiate(accept)
    assert (form.media, form.kind, form.is_discovery) == (media, kind, False)


@pytest.mark.parametrize(
    "accept", ["text/html", f"{JSON};{META}", f"{YAML};stream=watch", f"{JSON};as=APIGroupDiscoveryList;v=v2", "a/b;c"]
)
def test_forms_that_nobody_has(accept):
    """A version without a kind, a stream of YAML, discovery of what is no discovery."""
    with pytest.raises(ApiError, match="only the following media types are accepted") as refused:
        negotiate(accept)
    assert refused.value.code == 406


def test_refusals_are_not_converted():
    """They are in the first form that isn't a conversion; else in JSON."""
    assert media_of_error(f"{YAML};as=Table;{META}") == JSON
    assert media_of_error(f"{YAML};as=Table;{META},{YAML}") == YAML


def test_watches_are_not_yaml():
    """Documents in a row are JSON; what else there would be is said."""
    with pytest.raises(ApiError, match=r"application/json;stream=watch, application/vnd\.kubernetes\.protobuf;stream"):
        negotiate(YAML).check_stream()
    negotiate(JSON).check_stream()


def test_yaml_is_as_go_writes_it():
    """Long texts are folded, and what YAML 1.1 takes for a boolean is quoted."""
    text = data({"n": 1, "message": "word " * 30 + "end"}, negotiate(YAML)).decode()
    assert text.startswith("message: word word")
    assert max(map(len, text.splitlines())) <= 84
    assert text.endswith('"n": 1\n')


@pytest.mark.parametrize(
    ("path", "verb"),
    [
        (PODS, "watch"),
        (f"{PODS}/a", "get"),
        ("/api/v1/pods", "watch"),
        ("/api/v1/namespaces", "watch"),
        ("/api/v1/namespaces/default", "get"),
        ("/api/v1/watch/namespaces/default/pods/a", "watch"),
    ],
)
def test_only_collections_are_watched_by_a_query(path, verb):
    """For the rights of a client as for what it gets."""
    assert target(REGISTRY, path, "GET", wants_watch="/watch/" not in path).verb == verb
    assert attributes("GET", path, b"watch=").verb == verb


@pytest.mark.parametrize("name", ["..", ".", "a%b"])
def test_names_that_no_key_has(name):
    """They are refused before anybody looks for them."""
    with pytest.raises(ApiError, match="Name parameter invalid"):
        target(REGISTRY, f"{PODS}/{name}", "GET")


def test_paths_have_no_empty_parts():
    """Nothing is served there."""
    with pytest.raises(UnknownPathError):
        target(REGISTRY, "/api/v1/namespaces/default/pods//a", "GET")


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"continue": ["x"]}, "resourceVersionMatch is forbidden when continue is provided"),
        ({"sendInitialEvents": ["true"]}, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ({"resourceVersionMatch": ["NotOlderThan"]}, "forbidden for watch unless sendInitialEvents is provided"),
    ],
)
def test_what_no_watch_can_have(query, fault):
    """Pages, and initial events of no version."""
    with pytest.raises(ApiError, match=fault):
        ListOptions.read({**query, "watch": ["true"]})


def test_tables_include_what_there_is():
    """The object, its metadata, or nothing."""
    with pytest.raises(ApiError, match="must be 'Metadata', 'Object', 'None', or empty"):
        included({"includeObject": ["all"]})


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"kind": "Foo"}, 'no kind "Foo" is registered for version "meta.k8s.io/v1"'),
        ([], "couldn't get version/kind; json parse error: json: cannot unmarshal array"),
        ({"kind": 5}, r"cannot unmarshal number into Go struct field \.kind of type string"),
        ({"gracePeriodSeconds": "x"}, "^json: cannot unmarshal string into Go struct field DeleteOptions.grace"),
    ],
)
def test_bodies_of_a_delete(body, fault):
    """They are DeleteOptions, of any version."""
    with pytest.raises(ApiError, match=fault):
        delete_body(orjson.dumps(body), JSON)


def test_a_query_says_how_to_delete():
    """As a body does; one that has a body isn't looked at."""
    query = {"uid": ["u"], "resourceVersion": ["5"], "propagationPolicy": ["Orphan"], "gracePeriodSeconds": ["3"]}
    found = DeleteOptions.read(query, None)
    assert (found.uid, found.revision, found.policy, found.grace_period) == ("u", "5", "Orphan", 3)
    sent = DeleteOptions.read({"gracePeriodSeconds": ["x"], "dryRun": ["x"]}, delete_body(b"{}", JSON))
    assert (sent.grace_period, sent.dry_run) == (None, False)
    with pytest.raises(ApiError, match='propagationPolicy: Unsupported value: ""'):
        DeleteOptions.read({"propagationPolicy": [""]}, None)
