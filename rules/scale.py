"""The scale of an object: how many replicas it wants and has, and by which labels its pods are known.

As the ``scale`` subresource: of the workloads that have replicas, and of custom resources whose definition says where
those are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from state import selectors
from state.errors import StateError
from state.objects import (
    KINDS,
    AnyObject,
    CustomObject,
    Deployment,
    Opaque,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    replace,
)
from state.snapshot import Key
from state.workspace import Workspace

ObjectT = TypeVar("ObjectT", bound=AnyObject)
_DEFINITION = "CustomResourceDefinition.apiextensions.k8s.io"
_SCALABLE = (Deployment, ReplicaSet, ReplicationController, StatefulSet)


class ScalePaths(NamedTuple):
    """Where a custom resource keeps its scale: paths such as ``.spec.replicas``."""

    wanted: str = ".spec.replicas"
    actual: str = ".status.replicas"
    selector: str = ""

    @classmethod
    def of(cls, scale: Mapping[str, Any]) -> ScalePaths:
        """Those of a definition's ``subresources.scale``."""
        return cls(
            scale.get("specReplicasPath") or "",
            scale.get("statusReplicasPath") or "",
            scale.get("labelSelectorPath") or "",
        )


class Scale(NamedTuple):
    """How many replicas are wanted and there, and the selector of the pods as text ("" if there is none)."""

    wanted: int
    actual: int
    selector: str


class NoScaleError(StateError):
    """An object has no scale, or not where its definition says."""


def scale_of(obj: AnyObject, paths: ScalePaths | None = None) -> Scale:
    """The scale of an object; a custom resource has it at the ``paths``.

    Raises:
        NoScaleError: it has none.
    """
    if isinstance(obj, CustomObject):
        return _custom_scale(obj, paths)
    if not isinstance(obj, _SCALABLE):
        raise NoScaleError("the server could not find the requested resource")
    selector = obj.spec.selector
    if isinstance(selector, dict):
        text = ",".join(f"{key}={selector[key]}" for key in sorted(selector))
    else:
        text = str(selectors.from_object(selector))
    wanted = 1 if obj.spec.replicas is None else obj.spec.replicas
    return Scale(wanted, obj.status.replicas or 0, text)


def _custom_scale(obj: CustomObject, paths: ScalePaths | None) -> Scale:
    if paths is None:
        raise NoScaleError("the server could not find the requested resource")
    body = obj.body.value
    wanted, actual, selector = (_at(body, path) for path in paths)
    if not isinstance(wanted, int):
        raise NoScaleError(f'the spec replicas field "{paths.wanted}" does not exist')
    return Scale(wanted, actual if isinstance(actual, int) else 0, selector if isinstance(selector, str) else "")


def has_scale(obj: CustomObject, paths: ScalePaths) -> bool:
    """Whether it says how many replicas are wanted."""
    return isinstance(_at(obj.body.value, paths.wanted), int)


def scaled(obj: ObjectT, replicas: int, paths: ScalePaths | None = None) -> ObjectT:
    """The object, wanting another number of replicas."""
    result: Any
    if isinstance(obj, CustomObject):
        assert paths is not None
        result = replace(obj, body=Opaque(_with(obj.body.value, _steps(paths.wanted), replicas)))
    else:
        assert isinstance(obj, _SCALABLE)
        result = replace(obj, spec=replace(obj.spec, replicas=replicas))
    changed: ObjectT = result
    return changed


def paths_of(ws: Workspace, obj: AnyObject) -> ScalePaths | None:
    """Where a custom resource has its scale, by the definition of its kind; None if that says nothing."""
    if not isinstance(obj, CustomObject):
        return None
    group, _, version = obj.api_version.rpartition("/")
    return _paths(_definition(ws, group, obj.kind), version)


def _paths(definition: Any, version: str) -> ScalePaths | None:
    versions = _at(definition, ".spec.versions")
    for each in versions if isinstance(versions, list) else ():
        scale = _at(each, ".subresources.scale")
        if _at(each, ".name") == version and isinstance(scale, dict):
            return ScalePaths.of(scale)
    return None


class Target(NamedTuple):
    """What a reference is to: the resource ("deployments" of group "apps"), whether it has a scale, and the object if
    it is there.
    """

    plural: str
    group: str
    is_scalable: bool
    object: AnyObject | None

    def resource(self, subresource: str = "") -> str:
        """How messages call it: ``deployments.apps``, ``deployments/scale.apps``."""
        return f"{self.plural}{subresource}.{self.group}" if self.group else f"{self.plural}{subresource}"


def target_of(ws: Workspace, namespace: str, api_version: str, kind: str, name: str) -> Target | None:
    """What a reference with a kind and a name is to; None if there is no such kind."""
    group, _, version = api_version.rpartition("/")
    known = KINDS.get(kind)
    if known is not None and known.group == group:
        found = ws.get(Key(kind, namespace if known.namespaced else "", name))
        return Target(known.plural, group, known.type in _SCALABLE, found)
    definition = _definition(ws, group, kind)
    found = ws.get(Key(f"{kind}.{group}" if group else kind, namespace, name))
    if definition is None and found is None:
        return None
    plural = _at(definition, ".spec.names.plural") or f"{kind.lower()}s"
    return Target(plural, group, _paths(definition, version) is not None, found)


def _definition(ws: Workspace, group: str, kind: str) -> Any:
    """The body of the CustomResourceDefinition of a kind; None without one."""
    for definition in ws.table(_DEFINITION).values():
        assert isinstance(definition, CustomObject)
        body = definition.body.value
        if (_at(body, ".spec.group"), _at(body, ".spec.names.kind")) == (group, kind):
            return body
    return None


def _steps(path: str) -> list[str]:
    return path.removeprefix(".").split(".")


def _at(body: Any, path: str) -> Any:
    for step in _steps(path) if path else ("",):
        body = body.get(step) if isinstance(body, dict) else None
    return body


def _with(body: Any, steps: Sequence[str], value: int) -> dict[str, Any]:
    first, *rest = steps
    body = body if isinstance(body, dict) else {}
    return {**body, first: _with(body.get(first), rest, value) if rest else value}
