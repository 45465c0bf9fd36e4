"""The official Python client (package ``kubernetes``), unmodified, against the server over TLS."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from state.store.memory import MemoryStore
from tests.reconciler.apiserver.hollow import cluster

pytest.importorskip("kubernetes", reason="the package kubernetes is not installed")
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.stream import stream

EXAMPLES = Path(__file__).parents[3] / "examples"
#: What newer versions of the package know and isn't served.
NOT_SERVED = {
    "list_cluster_trust_bundle",
    "list_mutating_admission_policy",
    "list_mutating_admission_policy_binding",
    "list_pod_certificate_request_for_all_namespaces",
}
#: Seconds after which something that should happen has not.
PATIENCE = 20


@pytest.fixture(scope="module")
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as opened:
        yield opened


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, store: MemoryStore) -> Iterator[client.ApiClient]:
    """The client of an administrator; also the default one, which some modules of the package take."""
    with cluster(tmp_path_factory.mktemp("client"), store) as path:
        config.load_kube_config(str(path))
        with client.ApiClient() as made:
            yield made


@pytest.fixture
def namespace(api: client.ApiClient, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-")[:60]
    core = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": name}})
    eventually(lambda: core.list_namespaced_service_account(name).items)  # without it no pod is taken
    return name


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"shelf": "a"}), data=data)


def eventually(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it doesn't come true"
        time.sleep(0.02)


def test_manifests_are_created_and_read_back(api: client.ApiClient, namespace: str) -> None:
    """``utils.create_from_yaml`` of an example, whose pods become ready."""
    manifests = [each for each in yaml.safe_load_all((EXAMPLES / "web.yaml").read_text()) if each["kind"] != "Node"]
    for manifest in manifests:
        manifest["metadata"].pop("namespace", None)
    utils.create_from_yaml(api, yaml_objects=manifests, namespace=namespace)
    apps = client.AppsV1Api(api)
    wanted = {each.metadata.name: each.spec.replicas for each in apps.list_namespaced_deployment(namespace).items}
    assert wanted

    def are_ready() -> bool:
        found = apps.list_namespaced_deployment(namespace).items
        return {each.metadata.name: each.status.ready_replicas for each in found} == wanted

    eventually(are_ready)
    with pytest.raises(utils.FailToCreateError, match="already exists"):
        utils.create_from_yaml(api, yaml_objects=manifests, namespace=namespace)


@pytest.mark.parametrize(
    "group",
    [
        client.AdmissionregistrationV1Api,
        client.ApiextensionsV1Api,
        client.ApiregistrationV1Api,
        client.AppsV1Api,
        client.AutoscalingV1Api,
        client.AutoscalingV2Api,
        client.BatchV1Api,
        client.CertificatesV1Api,
        client.CoordinationV1Api,
        client.CoreV1Api,
        client.DiscoveryV1Api,
        client.FlowcontrolApiserverV1Api,
        client.NetworkingV1Api,
        client.NodeV1Api,
        client.PolicyV1Api,
        client.RbacAuthorizationV1Api,
        client.SchedulingV1Api,
        client.StorageV1Api,
    ],
)
def test_every_list_is_read_into_models(api: client.ApiClient, group: Any) -> None:
    """No list of a group is missing, and none lacks a field that the client's models require.

    Not events.k8s.io: its model refuses events without a time of their own, as most of Kubernetes' components write.
    """
    served = group(api)
    for name in dir(served):
        is_one = name.startswith("list_") and not name.endswith("_with_http_info")
        if is_one and "_namespaced_" not in name and name not in NOT_SERVED:
            assert getattr(served, name)().items is not None, name


def test_a_watch_goes_on_where_the_list_ended(api: client.ApiClient, namespace: str) -> None:
    """As informers do: list, watch from there, reconnect from the last revision; nothing is missed or told twice."""
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(namespace, config_map("m0"))
    listed = core.list_namespaced_config_map(namespace, label_selector="shelf=a")
    seen = [each.metadata.name for each in listed.items]
    revision = listed.metadata.resource_version

    def write() -> None:
        for number in range(1, 30):
            core.create_namespaced_config_map(namespace, config_map(f"m{number}"))

    writer = threading.Thread(target=write)
    writer.start()
    connections = 0
    while len(seen) < 30:
        connections += 1
        watcher = watch.Watch()
        events = watcher.stream(
            core.list_namespaced_config_map,
            namespace,
            label_selector="shelf=a",
            resource_version=revision,
            allow_watch_bookmarks=True,
            timeout_seconds=5,
        )
        for count, event in enumerate(events, start=1):
            if event["type"] != "BOOKMARK":
                assert event["type"] == "ADDED"
                seen.append(event["object"].metadata.name)
            revision = watcher.resource_version
            if count == 10 or len(seen) == 30:
                watcher.stop()
    writer.join()
    assert seen == [f"m{number}" for number in range(30)]
    assert connections > 1


def test_a_watch_from_a_forgotten_revision_is_told_so(
    api: client.ApiClient, namespace: str, store: MemoryStore
) -> None:
    """410 Gone, after which a client lists again."""
    core = client.CoreV1Api(api)
    old = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, config_map("later"))
    store.compact(store.revision())
    with pytest.raises(ApiException) as caught:
        list(watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version=old, timeout_seconds=5))
    assert caught.value.status == 410
    assert "too old resource version" in caught.value.reason
    assert [each.metadata.name for each in core.list_namespaced_config_map(namespace).items].count("later") == 1


def test_the_informer_keeps_up(api: client.ApiClient, namespace: str) -> None:
    """The package's own informer: its cache follows what is created, changed and deleted."""
    informer = pytest.importorskip("kubernetes.informer", reason="this version of the package has no informer")
    core = client.CoreV1Api(api)
    cache = informer.SharedInformer(core.list_namespaced_config_map, namespace=namespace, label_selector="shelf=a")
    cache.start()
    try:
        core.create_namespaced_config_map(namespace, config_map("one", a="1"))
        eventually(lambda: cache.cache.get_by_key(f"{namespace}/one") is not None)
        core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}})
        eventually(lambda: cache.cache.get_by_key(f"{namespace}/one").data == {"a": "2"})
        core.delete_namespaced_config_map("one", namespace)
        eventually(lambda: cache.cache.get_by_key(f"{namespace}/one") is None)
    finally:
        cache.stop()


def test_patches_of_every_kind(api: client.ApiClient, namespace: str) -> None:
    """JSON patch, merge patch, server-side apply with its conflict; what was read can be sent back, once."""
    core = client.CoreV1Api(api)
    first = core.create_namespaced_config_map(namespace, config_map("m", a="1"))
    patch = core.patch_namespaced_config_map
    assert patch("m", namespace, [{"op": "add", "path": "/data/b", "value": "2"}]).data == {"a": "1", "b": "2"}
    assert patch("m", namespace, {"data": {"a": None}}).data == {"b": "2"}
    apply = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"b": "3"}}
    options = {"field_manager": "tester", "_content_type": "application/apply-patch+yaml"}
    with pytest.raises(ApiException) as caught:
        patch("m", namespace, apply, **options)
    assert caught.value.status == 409
    assert patch("m", namespace, apply, force=True, **options).data == {"b": "3"}
    current = core.read_namespaced_config_map("m", namespace)  # its times are written in another way than they came
    current.data["c"] = "4"
    assert core.replace_namespaced_config_map("m", namespace, current).data == {"b": "3", "c": "4"}
    with pytest.raises(ApiException) as caught:
        core.replace_namespaced_config_map("m", namespace, first)
    assert caught.value.status == 409


def test_collections_are_deleted(api: client.ApiClient, namespace: str) -> None:
    """What a selector selects, page by page read before."""
    core = client.CoreV1Api(api)
    for number in range(7):
        core.create_namespaced_config_map(namespace, config_map(f"m{number}"))
    page = core.list_namespaced_config_map(namespace, limit=3, label_selector="shelf=a")
    names = [each.metadata.name for each in page.items]
    while page.metadata._continue:
        page = core.list_namespaced_config_map(
            namespace, limit=3, label_selector="shelf=a", _continue=page.metadata._continue
        )
        names += [each.metadata.name for each in page.items]
    assert names == [f"m{number}" for number in range(7)]
    core.delete_collection_namespaced_config_map(namespace, label_selector="shelf=a")
    assert core.list_namespaced_config_map(namespace, label_selector="shelf=a").items == []


def test_the_first_version_of_autoscalers(api: client.ApiClient, namespace: str) -> None:
    """What is written as autoscaling/v1 is read as v2, and the other way round."""
    target = client.V1CrossVersionObjectReference(api_version="apps/v1", kind="Deployment", name="web")
    spec = client.V1HorizontalPodAutoscalerSpec(
        max_replicas=5, scale_target_ref=target, target_cpu_utilization_percentage=70
    )
    body = client.V1HorizontalPodAutoscaler(metadata=client.V1ObjectMeta(name="web"), spec=spec)
    first, second = client.AutoscalingV1Api(api), client.AutoscalingV2Api(api)
    first.create_namespaced_horizontal_pod_autoscaler(namespace, body)
    found = second.read_namespaced_horizontal_pod_autoscaler("web", namespace)
    assert found.spec.metrics[0].resource.target.average_utilization == 70
    memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}
    both = [{"type": "Resource", "resource": memory}, api.sanitize_for_serialization(found.spec.metrics[0])]
    second.patch_namespaced_horizontal_pod_autoscaler("web", namespace, {"spec": {"metrics": both}})
    old = first.patch_namespaced_horizontal_pod_autoscaler("web", namespace, {"spec": {"maxReplicas": 6}})
    assert (old.spec.max_replicas, old.spec.target_cpu_utilization_percentage) == (6, 70)
    new = second.read_namespaced_horizontal_pod_autoscaler("web", namespace)
    assert sorted(each.resource.name for each in new.spec.metrics) == ["cpu", "memory"]
    events = watch.Watch().stream(
        first.list_namespaced_horizontal_pod_autoscaler, namespace, resource_version="0", timeout_seconds=1
    )
    assert {event["object"].spec.target_cpu_utilization_percentage for event in events} == {70}


def test_events_have_two_shapes(api: client.ApiClient, namespace: str) -> None:
    """One that is reported through events.k8s.io is found in the core group, selected by its own names."""
    about = client.V1ObjectReference(api_version="v1", kind="Pod", name="p", namespace=namespace)
    body = client.EventsV1Event(
        metadata=client.V1ObjectMeta(name="p.1"),
        event_time=datetime(2026, 1, 1, microsecond=1, tzinfo=UTC),
        reporting_controller="example.com/tester",
        reporting_instance="tester-1",
        action="Testing",
        reason="Tested",
        regarding=about,
        note="It works.",
        type="Normal",
    )
    client.EventsV1Api(api).create_namespaced_event(namespace, body)
    (found,) = client.CoreV1Api(api).list_namespaced_event(namespace, field_selector="involvedObject.name=p").items
    assert (found.message, found.reporting_component, found.involved_object.kind) == (
        "It works.",
        "example.com/tester",
        "Pod",
    )
    (again,) = client.EventsV1Api(api).list_namespaced_event(namespace, field_selector="regarding.name=p").items
    assert (again.note, again.regarding.name) == ("It works.", "p")


def test_leaders_are_elected(api: client.ApiClient, namespace: str) -> None:
    """The package's leader election: of two candidates one gets the lock, and keeps it."""

    def candidate(name: str) -> leaderelection.LeaderElection:
        return leaderelection.LeaderElection(
            electionconfig.Config(
                ConfigMapLock("lock", namespace, name),
                lease_duration=17,
                renew_deadline=15,
                retry_period=5,
                onstarted_leading=lambda: None,
                onstopped_leading=None,
            )
        )

    one, two = candidate("one"), candidate("two")
    assert [each.try_acquire_or_renew() for each in (one, two, one, two)] == [True, False, True, False]
    lock = client.CoreV1Api(api).read_namespaced_config_map("lock", namespace)
    assert '"one"' in lock.metadata.annotations["control-plane.alpha.kubernetes.io/leader"]


def test_the_dynamic_client_learns_new_kinds(api: client.ApiClient, namespace: str) -> None:
    """A definition is created, and its objects at once after that: applied, watched, selected, deleted."""
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"crew": {"type": "integer"}}}},
    }
    names = {"plural": "boats", "singular": "boat", "kind": "Boat"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "boats.client.example.com"},
        "spec": {"group": "client.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    anything = dynamic.DynamicClient(api)
    definitions = anything.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    definitions.create(body=body)

    def is_established() -> bool:
        status = definitions.get(name=body["metadata"]["name"]).to_dict().get("status", {})
        return "Established" in [each["type"] for each in status.get("conditions") or ()]

    eventually(is_established)
    anything.resources.invalidate_cache()
    boats = anything.resources.get(api_version="client.example.com/v1", kind="Boat")
    boat = {"apiVersion": "client.example.com/v1", "kind": "Boat", "metadata": {"name": "ada"}, "spec": {"crew": 3}}
    boats.create(body=boat, namespace=namespace)
    applied = boats.server_side_apply(
        body={**boat, "spec": {"crew": 4}},
        name="ada",
        namespace=namespace,
        field_manager="tester",
        force_conflicts=True,
    )
    assert applied.spec.crew == 4
    with pytest.raises(ApiException, match="crew"):
        boats.patch(
            body={"spec": {"crew": "x"}}, name="ada", namespace=namespace, content_type="application/merge-patch+json"
        )
    events = boats.watch(namespace=namespace, timeout=1)
    assert [(event["type"], event["object"].metadata.name) for event in events] == [("ADDED", "ada")]
    boats.delete(name="ada", namespace=namespace)
    assert boats.get(namespace=namespace).items == []
    definitions.delete(name=body["metadata"]["name"])


def test_what_no_kubelet_answers_is_refused_by_name(api: client.ApiClient, namespace: str) -> None:
    """Logs and exec of hollow nodes."""
    core = client.CoreV1Api(api)
    core.create_namespaced_pod(
        namespace, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )
    eventually(lambda: core.read_namespaced_pod("p", namespace).status.phase == "Running")
    with pytest.raises(ApiException, match="no node of this cluster keeps logs"):
        core.read_namespaced_pod_log("p", namespace)
    with pytest.raises(ApiException, match="501"):
        stream(core.connect_get_namespaced_pod_exec, "p", namespace, command=["true"], stdout=True)
