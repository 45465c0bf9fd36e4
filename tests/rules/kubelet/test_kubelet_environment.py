"""A container's environment: expansion, sources, Services, the downward API."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubelet_node import make, make_pod

from rules.kubelet.environment import ConfigError, environment, expand, field_value, resource_value, service_environment
from state.objects import ObjectFieldSelector, ResourceFieldSelector
from state.snapshot import Key


def table_of(*objects):
    tables = {}
    for obj in objects:
        tables.setdefault(obj.kind, {})[obj.metadata.namespace, obj.metadata.name] = obj
    return lambda kind: tables.get(kind, {})


def env_of(*env, objects=(), services=(), spec=None, **container):
    pod = make_pod(containers=[{"name": "c", "image": "x", "env": list(env), **container}], **(spec or {}))
    return environment(pod, pod.spec.containers[0], table_of(*objects), services)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$(NO)", "$(NO)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$$$$", "$$"),
        ("$()", "$()"),
        ("", ""),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text, expected):
    assert expand(text, {"A": "1", "B": "2"}) == expected


@given(st.text(alphabet="$()AB x", max_size=30))
def test_a_text_without_references_comes_out_as_it_is(text):
    if "$" not in text:
        assert expand(text, {"A": "1"}) == text
    assert "\x00" not in expand(text, {})


def test_later_variables_see_earlier_ones_only():
    env = env_of({"name": "A", "value": "$(B)"}, {"name": "B", "value": "1"}, {"name": "C", "value": "$(B)$(A)"})
    assert env == {"A": "$(B)", "B": "1", "C": "1$(B)"}


def test_whole_config_maps_and_secrets_come_first_and_can_have_a_prefix():
    objects = (make("ConfigMap", "cm", data={"a": "1", "b": "2"}), make("Secret", "s", data={"b": "eA=="}))
    env = env_of(
        {"name": "a", "value": "own"},
        envFrom=[
            {"configMapRef": {"name": "cm"}},
            {"secretRef": {"name": "s"}},
            {"prefix": "P_", "configMapRef": {"name": "cm"}},
        ],
        objects=objects,
    )
    assert env == {"a": "own", "b": "x", "P_a": "1", "P_b": "2"}


@pytest.mark.parametrize(
    ("ref", "message", "key"),
    [
        ({"configMapKeyRef": {"name": "no", "key": "k"}}, 'configmap "no" not found', "configmap/default/no"),
        ({"secretKeyRef": {"name": "no", "key": "k"}}, 'secret "no" not found', "secret/default/no"),
        ({"secretKeyRef": {"name": "s", "key": "k"}}, "couldn't find key k in Secret default/s", "secret/default/s"),
        ({"fieldRef": {"fieldPath": "spec.nope"}}, "unsupported fieldPath: spec.nope", None),
        ({"resourceFieldRef": {"resource": "limits.cpu", "containerName": "no"}}, "container no not found", None),
    ],
)
def test_what_is_missing_is_named_with_the_object_to_wait_for(ref, message, key):
    with pytest.raises(ConfigError) as error:
        env_of({"name": "A", "valueFrom": ref}, objects=(make("Secret", "s"),))
    assert str(error.value) == message
    assert error.value.key == (Key.parse(key) if key else None)


def test_optional_sources_may_be_missing():
    sources = (
        {"configMapKeyRef": {"name": "no", "key": "k", "optional": True}},
        {"secretKeyRef": {"name": "no", "key": "k", "optional": True}},
    )
    env = env_of(
        *({"name": f"V{index}", "valueFrom": source} for index, source in enumerate(sources)),
        envFrom=[{"configMapRef": {"name": "no", "optional": True}}],
    )
    assert env == {}


SERVICE = make(
    "Service",
    "redis-master",
    spec={"clusterIP": "10.0.0.11", "ports": [{"port": 6379}, {"name": "dns-udp", "port": 53, "protocol": "UDP"}]},
)


def test_services_are_told_in_both_old_ways():
    assert service_environment(make_pod(), [SERVICE]) == {
        "REDIS_MASTER_SERVICE_HOST": "10.0.0.11",
        "REDIS_MASTER_SERVICE_PORT": "6379",
        "REDIS_MASTER_SERVICE_PORT_DNS_UDP": "53",
        "REDIS_MASTER_PORT": "tcp://10.0.0.11:6379",
        "REDIS_MASTER_PORT_6379_TCP": "tcp://10.0.0.11:6379",
        "REDIS_MASTER_PORT_6379_TCP_PROTO": "tcp",
        "REDIS_MASTER_PORT_6379_TCP_PORT": "6379",
        "REDIS_MASTER_PORT_6379_TCP_ADDR": "10.0.0.11",
        "REDIS_MASTER_PORT_53_UDP": "udp://10.0.0.11:53",
        "REDIS_MASTER_PORT_53_UDP_PROTO": "udp",
        "REDIS_MASTER_PORT_53_UDP_PORT": "53",
        "REDIS_MASTER_PORT_53_UDP_ADDR": "10.0.0.11",
    }


def test_headless_foreign_and_unwanted_services_are_not_told():
    headless = make("Service", "h", spec={"clusterIP": "None", "ports": [{"port": 1}]})
    foreign = make("Service", "f", "other", spec={"clusterIP": "10.0.0.1", "ports": [{"port": 1}]})
    assert service_environment(make_pod(), [headless, foreign]) == {}
    master = make("Service", "kubernetes", spec={"clusterIP": "10.0.0.1", "ports": [{"port": 443}]})
    env = service_environment(make_pod(enableServiceLinks=False), [SERVICE, master])
    assert env["KUBERNETES_SERVICE_HOST"] == "10.0.0.1"
    assert not any(name.startswith("REDIS") for name in env)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "uid-web"),
        ("metadata.labels['app']", 'a"b'),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['x/y']", "z"),
        ("metadata.labels", 'app="a\\"b"\ntier="front"'),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "robot"),
        ("status.podIP", ""),
    ],
)
def test_fields_of_the_pod(path, value):
    metadata = {"labels": {"tier": "front", "app": 'a"b'}, "annotations": {"x/y": "z"}}
    pod = make_pod(metadata=metadata, serviceAccountName="robot")
    assert field_value(pod, ObjectFieldSelector(field_path=path)) == value


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", None, "2"),
        ("limits.cpu", "1m", "1500"),
        ("requests.cpu", "1m", "250"),
        ("limits.memory", "1Mi", "64"),
        ("limits.memory", "0", "67108864"),
        ("requests.memory", None, "0"),
        ("limits.ephemeral-storage", None, "1000"),
    ],
)
def test_resources_are_rounded_up_in_units_of_the_divisor(resource, divisor, value):
    resources = {"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}
    pod = make_pod(containers=[{"name": "c", "image": "x", "resources": resources}])
    ref = ResourceFieldSelector(resource=resource, divisor=divisor)
    assert resource_value(pod, "c", ref, {"ephemeral-storage": "1k"}) == value
