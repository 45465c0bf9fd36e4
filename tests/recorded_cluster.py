"""Replays recordings about services and volumes: ``recorded`` with the real scheduler and readable addresses."""

from __future__ import annotations

from typing import Any

from recorded import Player
from recorded_form import NAMESPACE, Json, normal, parse_path

from rules.claims import ClaimBinding
from rules.concern import Concern
from rules.endpoint_mirroring import EndpointMirroring
from rules.endpoints import EndpointPublication
from rules.garbage import Garbage
from rules.placement import Placement
from rules.service_update import updated_service
from rules.services import Services
from rules.volume_protection import ClaimProtection, VolumeProtection
from rules.volumes import VolumePhases
from state.defaults import default
from state.dump import dump
from state.load import from_dict
from state.objects import AnyObject, PersistentVolumeClaim, Pod, Service


def concerns() -> list[Concern]:
    """All concerns that have to do with services and volumes, in the order of a pass."""
    return [
        Garbage(),
        Services(),
        EndpointPublication(),
        EndpointMirroring(),
        VolumePhases(),
        ClaimBinding(),
        Placement(),
        VolumeProtection(),
        ClaimProtection(),
    ]


class ClusterPlayer(Player):
    """A replay with the scheduler of ``rules.placement``. ``wrong`` has the responses that differ from the recorded."""

    def __init__(self, case: Json) -> None:
        super().__init__(case, concerns())
        self.wrong: list[str] = []

    def step(self, step: Json, response: Json) -> None:
        """Carries out one step, and compares the service that a response shows with the one that is there."""
        step = _replaced(step, {"{ns}": NAMESPACE})
        super().step(step, response)
        kind, name, _ = parse_path(step["path"]) if step["op"] == "http" else ("", "", "")
        if kind == "Service" and "body" in response:
            self.cycle.settle(self.now)
            live = self.ws.find(Service, NAMESPACE, name or step["body"]["metadata"]["name"])
            assert live is not None
            expected = {key: value for key, value in response["body"].items() if key not in ("kind", "apiVersion")}
            given = step.get("body", {}).get("spec", {}).get("clusterIP", "")
            actual = _readable(normal(dump(live)), keep=given)
            if actual != expected:
                self.wrong.append(f"{step}:\n  recorded {expected}\n  here     {actual}")

    def bindings(self) -> Json:
        """The phase and the volume of each claim."""
        claims = self.ws.objects(PersistentVolumeClaim)
        return {claim.metadata.name: [claim.status.phase, claim.spec.volume_name] for claim in claims}

    def _schedule(self) -> bool:
        return False

    def _update(self, live: AnyObject, document: Json, sub: str) -> None:
        if isinstance(live, Service) and not sub:
            document = dump(updated_service(default(from_dict(document)), live))
        super()._update(live, document, sub)

    def listing(self, resource: str) -> list[Json]:
        """The objects of a resource in the recording's form, with placeholders for what was allocated."""
        addresses = {
            pod.status.pod_ip: f"<ip:{pod.metadata.name}>" for pod in self.ws.objects(Pod) if pod.status.pod_ip
        }
        return [_readable(_replaced(item, addresses)) for item in super().listing(resource)]

    def mismatches(self, ignore: Any = ()) -> list[str]:
        """Where snapshots differ; in lists of endpoints and addresses the order doesn't count."""
        for resources in self.case["expected"]["snapshots"].values():
            if isinstance(resources, dict):
                for items in resources.values():
                    if isinstance(items, list):
                        items[:] = [_sorted(item) for item in items]
        return [*super().mismatches(ignore), *self.wrong]


def _readable(item: Json, keep: str = "") -> Json:
    """A listed object with placeholders for allocated addresses, ports and uids, and null where a list is empty."""
    item = _sorted(_without_uids(item))
    spec = item.get("spec", {})
    for port in spec.get("ports", ()) if "clusterIPs" in spec else ():
        if "nodePort" in port:
            port["nodePort"] = "<nodePort>"
    if spec.get("clusterIP", "None") not in ("None", keep):
        spec["clusterIP"] = "<clusterIP>"
        spec["clusterIPs"] = ["<clusterIP>" for _ in spec["clusterIPs"]]
    if "addressType" in item:
        item["metadata"].pop("generation", None)
        item.setdefault("endpoints", None)
        item.setdefault("ports", None)
        item["endpoints"], item["ports"] = item["endpoints"] or None, item["ports"] or None
    return item


def _sorted(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    copy = dict(item)
    for key in ("endpoints", "subsets", "addresses", "notReadyAddresses"):
        if isinstance(copy.get(key), list):
            copy[key] = sorted(map(_sorted, copy[key]), key=str)
    return copy


def _without_uids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "<uid>" if key == "uid" else _without_uids(item) for key, item in value.items()}
    return [_without_uids(item) for item in value] if isinstance(value, list) else value


def _replaced(value: Any, texts: dict[str, str]) -> Any:
    """Plain data with texts replaced by others."""
    if isinstance(value, dict):
        return {key: _replaced(item, texts) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, texts) for item in value]
    return texts.get(value, value) if isinstance(value, str) else value
