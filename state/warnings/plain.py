"""Warnings about built-in kinds without a type in ``state.objects``, given as plain JSON (see ``validation.plain``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from state.addresses import cidr_warnings
from state.warnings._labels import DEPRECATED

Json = dict[str, Any]
_CLASS = "kubernetes.io/ingress.class"


def plain_warnings(kind: str, obj: Json, *, is_new: bool) -> Iterator[str]:
    """The warnings about an object, given with the annotations of its metadata."""
    spec = obj.get("spec") or {}
    if kind == "Ingress" and is_new:
        if _CLASS in (obj["metadata"].get("annotations") or {}) and spec.get("ingressClassName") is None:
            yield f"annotation \"{_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"
    elif kind == "NetworkPolicy":
        yield from _of_network_policy(spec)
    elif kind == "RuntimeClass":
        selected = (obj.get("scheduling") or {}).get("nodeSelector") or {}
        for name in sorted(selected.keys() & DEPRECATED.keys()):
            yield f"scheduling.nodeSelector: {DEPRECATED[name]}"


def _of_network_policy(spec: Json) -> Iterator[str]:
    for field, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(field) or ()):
            for number, peer in enumerate(rule.get(peers) or ()):
                path, block = f"spec.{field}[{index}].{peers}[{number}].ipBlock", peer.get("ipBlock") or {}
                yield from cidr_warnings(f"{path}.cidr", block.get("cidr") or "")
                for place, part in enumerate(block.get("except") or ()):
                    yield from cidr_warnings(f"{path}.except[{place}]", part)
