"""Objects in kubectl's columns and words."""

import pytest

from reconciler.cli.printers import object_name, object_table, object_tables
from reconciler.cli.tables import Table, escape, render
from reconciler.printers import pod_state
from state.load import from_dict
from state.times import parse_time

NOW = parse_time("2026-01-01T01:00:00Z")
CREATED = "2026-01-01T00:00:00Z"


def make(kind, version="v1", name="x", **fields):
    meta = {"name": name, "creationTimestamp": CREATED, **fields.pop("metadata", {})}
    return from_dict({"apiVersion": version, "kind": kind, "metadata": meta, **fields})


def pod(*, status=None, spec=None, metadata=None):
    spec = {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}], **(spec or {})}
    return make("Pod", spec=spec, status=status or {}, metadata=metadata or {})


def row(obj, **options):
    table = object_table([obj], now=NOW, **options)
    return dict(zip(table.headers, table.rows[0], strict=True))


def state(**kind):
    return {"name": "a", "state": kind}


RUNNING = {"running": {"startedAt": CREATED}}
READY = {"ready": True, "state": RUNNING}
SIDECAR = {"initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}]}
ONE_INIT = {"initContainers": [{"name": "i", "image": "i"}]}


class TestPodState:
    @pytest.mark.parametrize(
        ("status", "ready", "word"),
        [
            ({"phase": "Pending"}, 0, "Pending"),
            ({"phase": "Failed", "reason": "Evicted"}, 0, "Evicted"),
            (
                {
                    "phase": "Pending",
                    "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
                },
                0,
                "SchedulingGated",
            ),
            ({"phase": "Running", "containerStatuses": [{"name": "a", **READY}, {"name": "b", **READY}]}, 2, "Running"),
            (
                {"phase": "Pending", "containerStatuses": [state(waiting={"reason": "ContainerCreating"})]},
                0,
                "ContainerCreating",
            ),
            (
                {
                    "phase": "Running",
                    "containerStatuses": [state(waiting={"reason": "CrashLoopBackOff"}), {"name": "b", **READY}],
                },
                1,
                "CrashLoopBackOff",
            ),
            (
                {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [
                        state(terminated={"exitCode": 0, "reason": "Completed"}),
                        {"name": "b", **READY},
                    ],
                },
                1,
                "Running",
            ),
            (
                {
                    "phase": "Running",
                    "containerStatuses": [
                        state(terminated={"exitCode": 0, "reason": "Completed"}),
                        {"name": "b", **READY},
                    ],
                },
                1,
                "NotReady",
            ),
            ({"phase": "Failed", "containerStatuses": [state(terminated={"exitCode": 3})]}, 0, "ExitCode:3"),
            (
                {"phase": "Failed", "containerStatuses": [state(terminated={"exitCode": 137, "signal": 9})]},
                0,
                "Signal:9",
            ),
        ],
    )
    def test_status_is_what_kubectl_says(self, status, ready, word):
        found = pod_state(pod(status=status))
        assert (found.ready, found.containers, found.status) == (ready, 2, word)

    @pytest.mark.parametrize(
        ("container", "word"),
        [
            ({"state": {"waiting": {"reason": "PodInitializing"}}}, "Init:0/1"),
            ({"state": RUNNING}, "Init:0/1"),
            ({"state": {"waiting": {"reason": "ErrImagePull"}}}, "Init:ErrImagePull"),
            ({"state": {"terminated": {"exitCode": 1, "reason": "Error"}}}, "Init:Error"),
            ({"state": {"terminated": {"exitCode": 1}}}, "Init:ExitCode:1"),
            ({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, "PodInitializing"),
        ],
    )
    def test_initialization_comes_first(self, container, word):
        waiting = {"name": "a", "state": {"waiting": {"reason": "PodInitializing"}}}
        status = {
            "phase": "Pending",
            "initContainerStatuses": [{"name": "i", **container}],
            "containerStatuses": [waiting],
        }
        assert pod_state(pod(spec=ONE_INIT, status=status)).status == word

    def test_a_sidecar_counts_as_a_container(self):
        status = {
            "phase": "Running",
            "initContainerStatuses": [{"name": "s", "started": True, "restartCount": 2, **READY}],
            "containerStatuses": [{"name": "a", "restartCount": 1, **READY}, {"name": "b", **READY}],
        }
        found = pod_state(pod(spec=SIDECAR, status=status))
        assert (found.ready, found.containers, found.status, found.restarts) == (3, 3, "Running", 3)

    def test_init_containers_restarts_are_forgotten_once_they_are_done(self):
        done = {"name": "i", "restartCount": 4, "state": {"terminated": {"exitCode": 0}}}
        status = {"phase": "Running", "initContainerStatuses": [done], "containerStatuses": [{"name": "a", **READY}]}
        assert pod_state(pod(spec=ONE_INIT, status=status)).restarts == 0

    @pytest.mark.parametrize(
        ("status", "word"),
        [
            ({"phase": "Running"}, "Terminating"),
            ({"phase": "Succeeded"}, "Succeeded"),
            ({"phase": "Running", "reason": "NodeLost"}, "Unknown"),
        ],
    )
    def test_deletion(self, status, word):
        assert pod_state(pod(status=status, metadata={"deletionTimestamp": CREATED})).status == word

    def test_restarts_say_when_the_last_one_was(self):
        ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:55:00Z"}}
        status = {
            "phase": "Running",
            "containerStatuses": [{"name": "a", "restartCount": 3, "lastState": ended, **READY}],
        }
        assert row(pod(status=status))["RESTARTS"] == "3 (5m ago)"

    def test_wide(self):
        obj = pod(
            spec={"nodeName": "n1", "readinessGates": [{"conditionType": "lb"}, {"conditionType": "dns"}]},
            status={"podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "lb", "status": "True"}]},
        )
        cells = row(obj, wide=True)
        assert list(cells)[5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
        assert list(cells.values())[5:] == ["10.0.0.1", "n1", "<none>", "1/2"]
        assert list(row(obj)) == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]


SELECTOR = {"matchLabels": {"app": "web"}}
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "a", "image": "one"}, {"name": "b", "image": "two"}]},
}
WORKLOAD = {"selector": SELECTOR, "template": TEMPLATE}
IMAGES = ["a,b", "one,two"]

CASES = [
    (
        make(
            "Deployment",
            "apps/v1",
            spec={"replicas": 3, **WORKLOAD},
            status={"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
        ),
        ["x", "2/3", "1", "2", "60m", *IMAGES, "app=web"],
        5,
    ),
    (
        make("ReplicaSet", "apps/v1", spec={"replicas": 3, **WORKLOAD}, status={"replicas": 2, "readyReplicas": 1}),
        ["x", "3", "2", "1", "60m", *IMAGES, "app=web"],
        5,
    ),
    (
        make("StatefulSet", "apps/v1", spec={"replicas": 3, **WORKLOAD}, status={"replicas": 2, "readyReplicas": 1}),
        ["x", "1/3", "60m", *IMAGES],
        3,
    ),
    (
        make(
            "DaemonSet",
            "apps/v1",
            spec=WORKLOAD,
            status={
                "desiredNumberScheduled": 5,
                "currentNumberScheduled": 4,
                "numberReady": 3,
                "updatedNumberScheduled": 2,
                "numberAvailable": 1,
                "numberMisscheduled": 0,
            },
        ),
        ["x", "5", "4", "3", "2", "1", "<none>", "60m", *IMAGES, "app=web"],
        8,
    ),
    (
        make(
            "Job",
            "batch/v1",
            spec={"completions": 2, "template": TEMPLATE},
            status={
                "succeeded": 2,
                "startTime": CREATED,
                "completionTime": "2026-01-01T00:00:30Z",
                "conditions": [{"type": "Complete", "status": "True"}],
            },
        ),
        ["x", "Complete", "2/2", "30s", "60m", *IMAGES, "<none>"],
        5,
    ),
    (
        make("Job", "batch/v1", spec={"parallelism": 4, "template": TEMPLATE}, status={"startTime": CREATED}),
        ["x", "Running", "0/1 of 4", "60m", "60m", *IMAGES, "<none>"],
        5,
    ),
    (
        make(
            "CronJob",
            "batch/v1",
            spec={"schedule": "@daily", "suspend": False, "jobTemplate": {"spec": {"template": TEMPLATE}}},
            status={"lastScheduleTime": "2026-01-01T00:30:00Z"},
        ),
        ["x", "@daily", "<none>", "False", "0", "30m", "60m", *IMAGES, "<none>"],
        7,
    ),
    (
        make(
            "Service",
            spec={
                "type": "NodePort",
                "clusterIP": "10.0.0.7",
                "clusterIPs": ["10.0.0.7"],
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
                "selector": {"b": "2", "a": "1"},
            },
        ),
        ["x", "NodePort", "10.0.0.7", "<none>", "80:30080/TCP,53/UDP", "60m", "a=1,b=2"],
        6,
    ),
    (
        make("Service", spec={"type": "ExternalName", "externalName": "example.org"}),
        ["x", "ExternalName", "<none>", "example.org", "<none>", "60m", "<none>"],
        6,
    ),
    (
        make(
            "Service", spec={"type": "LoadBalancer", "clusterIPs": ["None"], "ports": [{"port": 1, "protocol": "TCP"}]}
        ),
        ["x", "LoadBalancer", "None", "<pending>", "1/TCP", "60m", "<none>"],
        6,
    ),
    (
        make(
            "Endpoints",
            subsets=[{"addresses": [{"ip": f"10.0.0.{n}"} for n in range(1, 6)], "ports": [{"port": 80}]}],
        ),
        ["x", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...", "60m"],
        3,
    ),
    (make("Endpoints"), ["x", "<none>", "60m"], 3),
    (
        make(
            "EndpointSlice",
            "discovery.k8s.io/v1",
            addressType="IPv4",
            ports=[{"port": 80}, {"name": "any"}, {}],
            endpoints=[{"addresses": ["10.0.0.1"]}],
        ),
        ["x", "IPv4", "80,any,*", "10.0.0.1", "60m"],
        5,
    ),
    (
        make(
            "Node",
            metadata={"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""}},
            spec={"unschedulable": True},
            status={
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.1.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.34.0", "osImage": "Linux"},
            },
        ),
        [
            *("x", "Ready,SchedulingDisabled", "edge,worker", "60m", "v1.34.0"),
            *("10.1.0.1", "<none>", "Linux", "<unknown>", "<unknown>"),
        ],
        5,
    ),
    (make("Node"), ["x", "Unknown", "<none>", "60m", "", "<none>", "<none>", *["<unknown>"] * 3], 5),
    (make("Namespace", status={"phase": "Active"}), ["x", "Active", "60m"], 3),
    (
        make(
            "PersistentVolume",
            spec={
                "capacity": {"storage": "1024Mi"},
                "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": "default", "name": "data"},
                "storageClassName": "fast",
                "volumeMode": "Filesystem",
            },
            status={"phase": "Bound"},
        ),
        ["x", "1Gi", "RWO,RWX", "Retain", "Bound", "default/data", "fast", "<unset>", "", "60m", "Filesystem"],
        10,
    ),
    (
        make(
            "PersistentVolumeClaim",
            spec={"volumeName": "pv", "storageClassName": "fast"},
            status={"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"]},
        ),
        ["x", "Bound", "pv", "1Gi", "RWOP", "fast", "<unset>", "60m", "<unset>"],
        8,
    ),
    (
        make("PersistentVolumeClaim", status={"phase": "Pending"}),
        ["x", "Pending", "", "", "", "", "<unset>", "60m", "<unset>"],
        8,
    ),
    (
        make(
            "StorageClass",
            "storage.k8s.io/v1",
            provisioner="p",
            metadata={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        ),
        ["x (default)", "p", "Delete", "Immediate", "false", "60m"],
        6,
    ),
    (make("ConfigMap", data={"a": "1"}, binaryData={"b": "Yg=="}), ["x", "2", "60m"], 3),
    (make("Secret", data={"a": "YQ=="}), ["x", "Opaque", "1", "60m"], 4),
    (make("ServiceAccount"), ["x", "0", "60m"], 3),
    (make("LimitRange"), ["x", CREATED], 2),
    (
        make(
            "ResourceQuota",
            status={"hard": {"pods": "10", "limits.cpu": "2", "requests.cpu": "1"}, "used": {"pods": "3"}},
        ),
        ["x", "pods: 3/10, requests.cpu: 0/1", "limits.cpu: 0/2", "60m"],
        4,
    ),
    (
        make(
            "PodDisruptionBudget",
            "policy/v1",
            spec={"maxUnavailable": "25%"},
            status={"disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3},
        ),
        ["x", "N/A", "25%", "1", "60m"],
        5,
    ),
    (
        make("PriorityClass", "scheduling.k8s.io/v1", value=1000, preemptionPolicy="Never"),
        ["x", "1000", "false", "60m", "Never"],
        5,
    ),
    (make("Lease", "coordination.k8s.io/v1", spec={"holderIdentity": "me"}), ["x", "me", "60m"], 3),
    (
        make(
            "ControllerRevision",
            "apps/v1",
            revision=3,
            metadata={
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": True}
                ]
            },
        ),
        ["x", "statefulset.apps/db", "3", "60m"],
        4,
    ),
    (make("CSINode", "storage.k8s.io/v1", spec={"drivers": []}), ["x", "0", "60m"], 3),
    (
        make("CSIDriver", "storage.k8s.io/v1", spec={"volumeLifecycleModes": ["Persistent"]}),
        ["x", "true", "false", "false", "<unset>", "false", "Persistent", "60m"],
        8,
    ),
    (make("CSIStorageCapacity", "storage.k8s.io/v1", storageClassName="fast"), ["x", "fast", "<unset>"], 3),
    (
        make(
            "VolumeAttachment",
            "storage.k8s.io/v1",
            spec={"attacher": "p", "nodeName": "n", "source": {"persistentVolumeName": "pv"}},
            status={"attached": True},
        ),
        ["x", "p", "pv", "n", "true", "60m"],
        6,
    ),
    (make("Widget", "example.org/v1", spec={"size": 3}), ["x", "60m"], 2),
]


@pytest.mark.parametrize(("obj", "cells", "narrow"), CASES, ids=[f"{i}-{case[0].kind}" for i, case in enumerate(CASES)])
def test_columns_are_kubectl_s(obj, cells, narrow):
    assert list(row(obj, wide=True).values()) == cells
    assert list(row(obj).values()) == cells[:narrow]


def test_events_have_the_message_before_what_only_wide_shows():
    event = make(
        "Event",
        type="Warning",
        reason="BackOff",
        message="Back-off restarting\n",
        involvedObject={"kind": "Pod", "name": "web-0", "fieldPath": "spec.containers{web}"},
        source={"component": "kubelet", "host": "n1"},
        firstTimestamp="2026-01-01T00:30:00Z",
        lastTimestamp="2026-01-01T00:59:50Z",
        count=7,
    )
    assert list(row(event).items()) == [
        ("LAST SEEN", "10s"),
        ("TYPE", "Warning"),
        ("REASON", "BackOff"),
        ("OBJECT", "pod/web-0"),
        ("MESSAGE", "Back-off restarting"),
    ]
    wide = row(event, wide=True)
    assert (wide["SOURCE"], wide["COUNT"], wide["FIRST SEEN"]) == ("kubelet, n1", "7", "30m")


def test_names_have_the_group_but_not_the_version():
    assert object_name(make("Pod", name="web-0")) == "pod/web-0"
    assert object_name(make("Deployment", "apps/v1", spec=WORKLOAD)) == "deployment.apps/x"


def test_an_object_without_age_has_an_unknown_one():
    assert row(from_dict({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}))["AGE"] == "<unknown>"


def test_several_kinds_are_several_tables_with_the_kind_in_the_name():
    objects = [make("ConfigMap", metadata={"namespace": "a"}), make("Pod", name="p"), make("ConfigMap", name="y")]
    tables = object_tables(objects, now=NOW, namespaces=True)
    assert [[cells[:2] for cells in table.rows] for table in tables] == [
        [("a", "configmap/x"), ("", "configmap/y")],
        [("", "pod/p")],
    ]
    assert object_tables(objects[1:2], now=NOW)[0].rows[0][0] == "p"


class TestRender:
    TABLE = Table(
        ("NAME", "STATUS", "WHY"), [("a", "Running", "it does"), ("longer", "Pending", "it waits " * 10)], "STATUS"
    )

    def test_columns_are_as_wide_as_their_widest_cell(self):
        lines = list(render(Table(("A", "B"), [("x", "y"), ("longer", "")])))
        assert lines == ["A        B", "x        y", "longer"]

    def test_the_last_column_is_wrapped_to_a_terminal(self):
        lines = list(render(self.TABLE, width=60))
        assert len(lines) == 5
        assert lines[3].startswith(" " * 19 + "waits it")
        assert max(map(len, lines[3:])) <= 60

    def test_it_is_not_wrapped_where_that_would_be_unreadable_or_nobody_knows_the_width(self):
        assert len(list(render(self.TABLE, width=30))) == 3
        assert len(list(render(self.TABLE))) == 3

    def test_one_column_is_coloured_by_its_words(self):
        lines = list(render(self.TABLE))
        assert lines[0] == "NAME     STATUS    WHY"
        assert lines[1] == "a        \x1b[32mRunning\x1b[0m   it does"

    def test_what_a_terminal_would_obey_is_shown_instead(self):
        assert escape("a\x1b[2Jb\r\n\x9bc") == "a^[[2Jb^M \\x9bc"
        assert list(render(Table(("A",), [("x\x1b[31my",)])))[1] == "x^[[31my"

    def test_a_table_without_rows_is_its_headers(self):
        assert list(render(Table(("A", "B"), []))) == ["A   B"]
