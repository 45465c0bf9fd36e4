"""The state of a plan as it was when the scheduler decided about a pod: the actions since then are taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.actions import Action, Bind, Create, Delete, Update, UpdateStatus
from rules.scheduling.overlay import Overlay
from state.objects import Pod, replace
from state.snapshot import Key

if TYPE_CHECKING:
    from reconciler.plan import Plan


def before_binding(plan: Plan, pod: Key) -> tuple[Overlay, Pod] | None:
    """The state in which the pod's node was chosen, and the pod as it was then; None if the plan doesn't bind it.

    Bindings of claims stay: they are not part of the choice.
    """
    bind = next((place for place, action in enumerate(plan.actions) if _binds(action, pod)), None)
    if bind is None:
        return None
    decision = plan.actions[bind].because
    first = next(place for place, action in enumerate(plan.actions) if action.because is decision)
    view = Overlay(plan.snapshot)
    for action in reversed(plan.actions[first:]):
        _take_back(view, action)
    found = view.table("Pod")[pod.namespace, pod.name]
    assert isinstance(found, Pod)
    return view, found


def _binds(action: Action, pod: Key) -> bool:
    return isinstance(action, Bind) and action.target == pod


def _take_back(view: Overlay, action: Action) -> None:
    if isinstance(action, Create):
        view.drop(action.object)
    elif isinstance(action, Update | UpdateStatus | Delete):
        view.put(action.before)
    elif isinstance(action, Bind):
        view.put(replace(action.object, spec=replace(action.object.spec, node_name=None)))
