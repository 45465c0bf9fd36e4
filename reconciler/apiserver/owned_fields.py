"""What controllers own of objects that clients made: their writes are in ``metadata.managedFields``, as clients' are.

So a server-side apply of what the autoscaler has set is a conflict, as it is in a cluster. Objects that controllers
made themselves have no record, and cost nothing here.
"""

from __future__ import annotations

from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.resources import Registry
from rules.horizontal_autoscaling import HorizontalAutoscaling
from rules.placement import Placement
from state.objects import AnyObject

_CONTROLLERS, _SCHEDULER = "kube-controller-manager", "kube-scheduler"


class ControllersFields:
    """Keeps the record of what controllers and scheduler change. Called by ``rules.context.Context``."""

    def __init__(self, fields: ManagedFields, registry: Registry) -> None:
        self._fields, self._registry = fields, registry

    def __call__(self, concern: str, old: AnyObject, new: AnyObject, subresource: str, now: int) -> AnyObject:
        """The changed object with the record that the change leads to."""
        resource = self._registry.of_kind(new.api_version, new.kind)
        if resource is None:
            return new
        if concern == HorizontalAutoscaling.name and not subresource:
            subresource = "scale"
        manager = _SCHEDULER if concern == Placement.name else _CONTROLLERS
        return self._fields.updated(resource, old, new, manager, subresource, now)
