"""Random clusters, made from a seed, that use every rule of the scheduler, and changes to throw at them."""

import random

ZONES = ("a", "b", "c")
APPS = ("web", "db", "cache")
CLAIMS = "persistentVolumeClaims"
KEYS = ("kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack")


def cluster(seed):
    """A cluster as ``schedule_cluster`` takes it."""
    rng = random.Random(seed)
    nodes = [node(rng, n) for n in range(rng.choice((0, 1, 3, 8, 20, 40)))]
    few = rng.random() < 0.5  # few templates: big classes
    templates = [template(rng) for _ in range(rng.choice((1, 2, 4)) if few else 12)]
    pods = [pod(rng, f"run-{number:03}", rng.choice(templates), nodes) for number in range(rng.randrange(30))]
    pods += [pod(rng, f"pend-{number:03}", rng.choice(templates), None) for number in range(rng.randrange(1, 60))]
    return {
        "nodes": nodes,
        "pods": pods,
        **volumes(rng, pods, nodes),
        "namespaces": [
            {"metadata": {"name": "default", "labels": {"team": "x"}}},
            {"metadata": {"name": "other", "labels": {"team": "y"}}},
        ],
        "services": [
            {"metadata": {"name": app, "namespace": "default"}, "spec": {"selector": {"app": app}}}
            for app in APPS
            if rng.random() < 0.3
        ],
        "replicaSets": [
            {
                "metadata": {"name": f"rs-{app}", "namespace": "default", "uid": f"rs-{app}"},
                "spec": {"selector": {"matchLabels": {"app": app}}},
            }
            for app in APPS
        ],
        "podDisruptionBudgets": [
            {
                "metadata": {"name": "pdb", "namespace": "default"},
                "spec": {"selector": {"matchLabels": {"app": rng.choice(APPS)}}},
                "status": {
                    "disruptionsAllowed": rng.randrange(2),
                    "currentHealthy": 1,
                    "desiredHealthy": 1,
                    "expectedPods": 1,
                },
            }
        ],
    }


def node(rng, number):
    """One node."""
    name = f"node-{number:03}"
    labels = {"kubernetes.io/hostname": name, "disk": rng.choice(("ssd", "hdd")), "gen": str(rng.randrange(12))}
    if rng.random() < 0.9:
        labels["topology.kubernetes.io/zone"] = rng.choice(ZONES)
    if rng.random() < 0.8:
        labels["rack"] = f"r{rng.randrange(25)}"
    if rng.random() < 0.05:
        del labels["kubernetes.io/hostname"]
    allocatable = {
        "cpu": rng.choice(("1", "2", "3920m", "8")),
        "memory": rng.choice(("2Gi", "4Gi", "16Gi", "7777777k")),
        "pods": rng.choice(("3", "10", "110")),
    }
    if rng.random() < 0.2:
        allocatable["nvidia.com/gpu"] = "2"
    if rng.random() < 0.03:
        allocatable = {}
    taints = [
        {"key": rng.choice(("spot", "gpu")), "value": "x", "effect": effect}
        for effect, chance in (("NoSchedule", 0.1), ("PreferNoSchedule", 0.2), ("NoExecute", 0.03))
        if rng.random() < chance
    ]
    images = [
        {"names": [f"registry/{app}:v1"], "sizeBytes": size}
        for app, size in (("web", 300_000_000), ("db", 900_000_000))
        if rng.random() < 0.4
    ]
    spec = {"taints": taints}
    if rng.random() < 0.05:
        spec["unschedulable"] = True
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": allocatable, "images": images},
    }


def template(rng):
    """What pods of a kind have in common."""
    app = rng.choice(APPS)
    labels = {"app": app}
    if rng.random() < 0.5:
        labels["tier"] = rng.choice(("1", "2"))
    requests = {"cpu": rng.choice(("100m", "250m", "1")), "memory": rng.choice(("64Mi", "500Mi", "1Gi"))}
    for resource in list(requests):
        if rng.random() < 0.15:
            del requests[resource]
    if rng.random() < 0.1:
        requests["nvidia.com/gpu"] = limits = "1"
    container = {"name": "c", "image": f"registry/{app}:v1", "resources": {"requests": requests}}
    if "nvidia.com/gpu" in requests:
        container["resources"]["limits"] = {"nvidia.com/gpu": limits}
    if rng.random() < 0.1:
        container["ports"] = [{"containerPort": 80, "hostPort": rng.choice((80, 81))}]
    spec = {"containers": [container], "priority": rng.choice((0, 0, 10, 100))}
    if rng.random() < 0.2:
        spec["nodeSelector"] = {"disk": "ssd"}
    if rng.random() < 0.3:
        spec["tolerations"] = [{"key": "spot", "operator": "Exists"}]
    affinity = {}
    if rng.random() < 0.3:
        affinity["nodeAffinity"] = node_affinity(rng)
    for name, chance in (("podAffinity", 0.25), ("podAntiAffinity", 0.3)):
        if rng.random() < chance:
            affinity[name] = pod_affinity(rng)
    if affinity:
        spec["affinity"] = affinity
    if rng.random() < 0.35:
        spec["topologySpreadConstraints"] = [constraint(rng) for _ in range(rng.choice((1, 1, 2)))]
    meta = {"namespace": rng.choice(("default", "default", "other")), "labels": labels}
    if rng.random() < 0.5:
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"rs-{app}", "uid": f"rs-{app}"}
        meta["ownerReferences"] = [{**owner, "controller": True}]
    return {"metadata": meta, "spec": spec}


def node_affinity(rng):
    """Required or preferred node affinity, with every operator."""
    expressions = (
        {"key": "gen", "operator": "Gt", "values": ["4"]},
        {"key": "gen", "operator": "Lt", "values": ["9"]},
        {"key": "rack", "operator": "Exists"},
        {"key": "rack", "operator": "DoesNotExist"},
        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a", "b"]},
        {"key": "topology.kubernetes.io/zone", "operator": "NotIn", "values": ["c"]},
    )
    terms = [{"matchExpressions": rng.sample(expressions, rng.choice((1, 2)))} for _ in range(rng.choice((1, 2)))]
    if rng.random() < 0.1:
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-001"]}]}]
    if rng.random() < 0.5:
        return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    preferred = [{"weight": rng.randrange(1, 100), "preference": term} for term in terms]
    return {"preferredDuringSchedulingIgnoredDuringExecution": preferred}


def pod_affinity(rng):
    """Terms of pod affinity or anti-affinity."""
    term = {
        "topologyKey": rng.choice(KEYS),
        "labelSelector": rng.choice(
            (
                {"matchLabels": {"app": rng.choice(APPS)}},
                {"matchExpressions": [{"key": "tier", "operator": "Exists"}]},
                {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]},
                {},
            )
        ),
    }
    if rng.random() < 0.2:
        term["namespaceSelector"] = rng.choice(({}, {"matchLabels": {"team": "y"}}))
    if rng.random() < 0.5:
        return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    weighted = {"weight": rng.randrange(1, 100), "podAffinityTerm": term}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}


def constraint(rng):
    """A topology spread constraint."""
    made = {
        "topologyKey": rng.choice(KEYS),
        "maxSkew": rng.choice((1, 1, 2)),
        "whenUnsatisfiable": rng.choice(("DoNotSchedule", "ScheduleAnyway")),
        "labelSelector": rng.choice(({"matchLabels": {"app": rng.choice(APPS)}}, {})),
    }
    if rng.random() < 0.2:
        made["nodeTaintsPolicy"] = "Honor"
    if rng.random() < 0.2:
        made["nodeAffinityPolicy"] = "Ignore"
    if rng.random() < 0.2 and made["whenUnsatisfiable"] == "DoNotSchedule":
        made["minDomains"] = rng.randrange(1, 5)
    return made


def pod(rng, name, shape, nodes):
    """A pod of a template: pending without nodes, else bound to one of them."""
    made = {
        "metadata": {
            **shape["metadata"],
            "name": name,
            "uid": name,
            "creationTimestamp": f"2026-01-01T00:{rng.randrange(60):02}:00Z",
        },
        "spec": dict(shape["spec"]),
        "status": {"phase": "Pending"},
    }
    if nodes is not None:
        ghost = rng.random() < 0.05 or not nodes
        made["spec"]["nodeName"] = "ghost" if ghost else rng.choice(nodes)["metadata"]["name"]
        made["status"] = {"phase": "Running", "startTime": f"2026-01-01T01:{rng.randrange(60):02}:00Z"}
        if rng.random() < 0.1:
            made["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    elif nodes is None and rng.random() < 0.04:
        made["status"]["nominatedNodeName"] = f"node-00{rng.randrange(3)}"
    return made


def volumes(rng, pods, nodes):
    """Claims for some of the pods, of every sort, with what they need."""
    made = {CLAIMS: [], "persistentVolumes": []}
    if rng.random() < 0.6:
        return made
    classes = {
        "wait": {"provisioner": "csi.test", "volumeBindingMode": "WaitForFirstConsumer"},
        "local": {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
        "now": {"provisioner": "csi.test", "volumeBindingMode": "Immediate"},
    }
    if rng.random() < 0.5:
        zones = {"key": KEYS[1], "values": ["a", "b"]}
        classes["wait"]["allowedTopologies"] = [{"matchLabelExpressions": [zones]}]
    made["storageClasses"] = [{"metadata": {"name": name}, **fields} for name, fields in classes.items()]
    made["csiNodes"] = [
        {
            "metadata": {"name": node["metadata"]["name"]},
            "spec": {"drivers": [{"name": "csi.test", "nodeID": "n", "allocatable": {"count": rng.randrange(1, 4)}}]},
        }
        for node in nodes
        if rng.random() < 0.5
    ]
    for number, one in enumerate(pods):
        if rng.random() < 0.4:
            claim = f"claim-{number if rng.random() < 0.9 else 0}"
            one["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
            namespace = one["metadata"]["namespace"]
            add_claim(rng, made, claim, namespace, rng.choice(("wait", "local", "bound", "once", "now")))
    for number in range(rng.randrange(4)):
        volume = {"local": {"path": "/x"}, "storageClassName": "local", "nodeAffinity": in_zone(rng)}
        add_volume(made, f"local-{number}", "Available", volume, size=rng.choice(("1Gi", "2Gi")))
    made["volumeAttachments"] = [
        {
            "metadata": {"name": f"attached-{number}"},
            "spec": {
                "attacher": "csi.test",
                "nodeName": rng.choice(nodes)["metadata"]["name"],
                "source": {"persistentVolumeName": rng.choice(made["persistentVolumes"])["metadata"]["name"]},
            },
        }
        for number in range(rng.randrange(5) if nodes and made["persistentVolumes"] else 0)
    ]
    return made


def add_claim(rng, made, name, namespace, sort):
    """A claim, and the volume it is bound to, unless there is one of that name."""
    if any(c["metadata"]["name"] == name and c["metadata"]["namespace"] == namespace for c in made[CLAIMS]):
        return
    kind = "wait" if sort in ("bound", "once") else sort
    mode = "ReadWriteOncePod" if sort == "once" else "ReadWriteOnce"
    needs = {"requests": {"storage": "1Gi"}}
    claim = {"metadata": {"name": name, "namespace": namespace}, "spec": {"accessModes": [mode], "resources": needs}}
    claim["spec"]["storageClassName"] = kind
    if sort in ("bound", "once"):
        volume = f"pv-{namespace}-{name}"
        claim["metadata"]["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
        claim["spec"]["volumeName"] = volume
        spec = {"csi": {"driver": "csi.test", "volumeHandle": volume}, "nodeAffinity": in_zone(rng)}
        labels = {KEYS[1]: rng.choice(("a", "a__b"))} if rng.random() < 0.3 else {}
        add_volume(made, volume, "Bound", spec, labels=labels)
    made[CLAIMS].append(claim)


def add_volume(made, name, phase, spec, labels=None, size="1Gi"):
    """A volume."""
    full = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], **spec}
    metadata = {"name": name, "labels": labels or {}}
    made["persistentVolumes"].append({"metadata": metadata, "spec": full, "status": {"phase": phase}})


def in_zone(rng):
    """Node affinity of a volume."""
    expression = {"key": KEYS[1], "operator": "In", "values": rng.sample(ZONES, 2)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
