"""An object as the bytes that are stored and sent: Kubernetes' JSON, with what Go writes even if it is empty.

Bytes in the store have no ``resourceVersion``: the store knows it. They all begin alike, so that it can be put in, and
kind and version be left out of the items of a list, without reading them.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from reconciler.apiserver.forms import complete
from reconciler.apiserver.messages import messages, name_of_message
from state.dump import dump
from state.kept import Remembered, exact
from state.objects import AnyObject, Pod, PodSpec, replace

_META = b'"metadata":{'
_ORDER = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)


def document(obj: AnyObject) -> dict[str, Any]:
    """The object as a new plain dict in Kubernetes' form, its resourceVersion included."""
    fields = dump(obj)
    kind, api_version, metadata = fields.pop("kind"), fields.pop("apiVersion"), fields.pop("metadata")
    ordered = {name: metadata[name] for name in _ORDER if name in metadata}
    result = {"kind": kind, "apiVersion": api_version, "metadata": ordered, **fields}
    message = name_of_message(api_version, kind)
    if message in messages():
        complete(message, result)
    return result


def encode(obj: AnyObject) -> bytes:
    """The object as it is stored: without its resourceVersion."""
    if obj.metadata.resource_version is not None:
        obj = replace(obj, metadata=replace(obj.metadata, resource_version=None))
    if isinstance(obj, Pod):
        rest = document(replace(obj, spec=_NO_SPEC))
        head = {name: rest.pop(name) for name in ("kind", "apiVersion", "metadata")}
        rest.pop("spec", None)
        return exact(orjson.dumps({**head, "spec": _pod_spec(obj.spec), **rest}))
    return exact(orjson.dumps(document(obj)))


_NO_SPEC = PodSpec()
_FIELDS = PodSpec.__struct_fields__
_NODE = _FIELDS.index("node_name")
#: The JSON of pods' specs without their node, by the identity of all that is in them (which is kept with it).
_specs = Remembered[tuple[int, ...], tuple[PodSpec, bytes]]()


def _pod_spec(spec: PodSpec) -> orjson.Fragment:
    """A pod's spec. The pods of one template share all that is in theirs but the node, which comes first."""
    parts = [*map(id, msgspec.structs.astuple(spec))]
    parts[_NODE] = 0
    known = _specs.get(key := tuple(parts))
    if known is None:
        unbound = replace(spec, node_name=None)
        known = (unbound, exact(orjson.dumps(document(Pod(spec=unbound))["spec"])))
        _specs[key] = known
    text = known[1]
    if spec.node_name:
        text = b'{"nodeName":%b,%b' % (orjson.dumps(spec.node_name), text[1:])
    return orjson.Fragment(text)


def with_revision(value: bytes, revision: int) -> bytes:
    """Stored bytes as they are sent."""
    at = value.index(_META) + len(_META)
    comma = b"" if value[at : at + 1] == b"}" else b","
    return b'%b"resourceVersion":"%d"%b%b' % (value[:at], revision, comma, value[at:])


def list_item(value: bytes, revision: int, *, typed: bool) -> bytes:
    """Stored bytes as an item of a list; those of built-in kinds (``typed``) don't repeat kind and version."""
    if not typed:
        return with_revision(value, revision)
    at = value.index(_META)
    rest = value[at + len(_META) :]
    comma = b"" if rest[:1] == b"}" else b","
    return b'{"metadata":{"resourceVersion":"%d"%b%b' % (revision, comma, rest)


def list_head(kind: str, api_version: str, meta: dict[str, Any]) -> bytes:
    """What a list begins with, up to its first item; ``meta`` is its ListMeta. Items are made by ``list_item``, and
    ``LIST_END`` follows.
    """
    return orjson.dumps({"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta})[:-1] + b',"items":['


LIST_END = b"]}"
