"""How objects lie in a store: under which keys, and as which bytes. All who read or write objects there go by this.

A value is the object's JSON without ``metadata.resourceVersion``: that is the revision of its entry, as in Kubernetes.
"""

from __future__ import annotations

from typing import Any

import orjson

from state.convert import PodSpecs, convert_fast, convert_thoroughly
from state.dump import dump_json
from state.errors import NO_VALUE, InvalidObject, type_invalid
from state.objects import KINDS, AnyObject, replace
from state.snapshot import Key

#: All objects lie below; programs may keep other things elsewhere.
ROOT = "/registry/"


def prefix_of(kind: str, namespace: str = "") -> str:
    """What the keys of all objects of a kind begin with, or of those in one namespace."""
    known = KINDS.get(kind)
    place = ROOT + (kind.lower() if known is None else known.plural) + "/"
    return f"{place}{namespace}/" if namespace else place


def path_of(key: Key) -> str:
    """The key of an object in a store: ``/registry/pods/default/web-0``, ``/registry/nodes/n1``; for a kind without a
    type ``/registry/job.batch.volcano.sh/default/train``.
    """
    return prefix_of(key.kind, key.namespace) + key.name


def encode(obj: AnyObject) -> bytes:
    """The value of an object. Equal objects have equal values, whatever their ``resourceVersion``."""
    if obj.metadata.resource_version is not None:
        obj = replace(obj, metadata=replace(obj.metadata, resource_version=None))
    return dump_json(obj)


def decode(value: bytes, revision: int, specs: PodSpecs | None = None) -> AnyObject:
    """The object of a value; ``specs`` lets pods share what is the same in their specs.

    Raises:
        InvalidObject: the value is no object that anything here would have written.
    """
    try:
        manifest: Any = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidObject([type_invalid("", NO_VALUE, f"must be JSON: {error}")]) from error
    if not isinstance(manifest, dict):
        raise InvalidObject([type_invalid("", NO_VALUE, "must be an object with apiVersion and kind")])
    metadata = manifest.get("metadata", {})
    if isinstance(metadata, dict):
        metadata["resourceVersion"] = str(revision)
        manifest["metadata"] = metadata
    found = convert_fast(manifest, PodSpecs() if specs is None else specs)
    return found if found is not None else convert_thoroughly(manifest, "ignore").object
