"""The steps of a simulation as the batch protocol writes them: what the user, a kubelet or the clock does next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.changes import PatchType
from reconciler.simulation import Simulation
from rules.actions import Action, Event
from state.dump import dump
from state.errors import InvalidObject, StateError
from state.snapshot import Key, find_key
from state.times import format_time, parse_duration

_IDENTITY = frozenset({"apiVersion", "kind", "namespace", "name", "target"})
_EXPECTED_TARGET = "expected KIND/NAMESPACE/NAME, or an object with kind and name, with metadata, or with target"
#: What a patch of each form is.
_PATCHES: dict[PatchType, tuple[type, str]] = {
    "json": (list, "a JSON patch, a list of operations"),
    "merge": (dict, "a JSON merge patch"),
    "strategic": (dict, "a strategic merge patch"),
}

Fields = dict[str, Any]


class StepError(StateError):
    """A step of a request that can't be taken; ``path`` is where it stands."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def run_steps(simulation: Simulation, steps: list[Any], *, objects: bool = True) -> list[dict[str, Any]]:
    """Takes the steps one after the other; after each one the state and what happened in it, as plain data.

    Raises:
        StepError: a step is none of ``STEPS``, or can't be taken. The steps before it are taken.
        InvalidObject: what a step applies or changes would not be valid.
    """
    answers = []
    for number, step in enumerate(steps):
        path = f"steps[{number}]"
        if not isinstance(step, Mapping) or len(step) != 1 or not step.keys() <= STEPS.keys():
            raise StepError(path, f"expected an object with one of {', '.join(sorted(STEPS))}")
        ((name, argument),) = step.items()
        begin = len(simulation.timeline)
        try:
            STEPS[name](simulation, argument, f"{path}.{name}")
        except (InvalidObject, StepError):
            raise
        except StateError as error:
            raise StepError(f"{path}.{name}", str(error)) from error
        simulation.happen()
        happened = [item for _, item in simulation.timeline[begin:]]
        answers.append(
            {
                **report(simulation, objects=objects),
                "actions": [item.to_dict() for item in happened if isinstance(item, Action)],
                "events": [item.to_dict() for item in happened if isinstance(item, Event)],
            }
        )
    return answers


def report(simulation: Simulation, *, objects: bool = True) -> dict[str, Any]:
    """The state of a simulation as plain data."""
    data: dict[str, Any] = {
        "now": format_time(simulation.now),
        "settled": simulation.settled,
        "notes": [note.to_dict() for note in simulation.notes],
    }
    if objects:
        data["objects"] = [dump(obj) for obj in simulation.snapshot]
    return data


def _apply(simulation: Simulation, manifests: Any, path: str) -> None:
    if not isinstance(manifests, list | dict):
        raise StepError(path, "expected a manifest or a list of manifests")
    simulation.loop.apply(manifests)


def _target(simulation: Simulation, argument: Any, path: str) -> tuple[Key, Fields]:
    """The object that a step is about, and what else the step says."""
    if isinstance(argument, str):
        return find_key(argument, simulation.loop.ws), {}
    if not isinstance(argument, Mapping):
        raise StepError(path, _EXPECTED_TARGET)
    metadata = argument.get("metadata")
    names = metadata if isinstance(metadata, Mapping) and "name" not in argument else argument
    words = [argument.get("kind"), names.get("namespace"), names.get("name")]
    text = argument.get("target", "/".join(str(word) for word in words if word))
    if not isinstance(text, str) or (
        "target" not in argument and not all(isinstance(word, str) for word in words[::2])
    ):
        raise StepError(path, _EXPECTED_TARGET)
    return find_key(text, simulation.loop.ws), {name: argument[name] for name in argument if name not in _IDENTITY}


def _only(fields: Fields, path: str, *known: str) -> None:
    unknown = sorted(fields.keys() - {*known, "metadata"})
    if unknown:
        raise StepError(f"{path}.{unknown[0]}", f"unknown field; expected {', '.join(known)}")


def _patch(simulation: Simulation, argument: Any, path: str) -> None:
    """``patch`` is a patch of the form that ``type`` says (a JSON merge patch if nothing); an argument that is written
    as part of a manifest is one itself.
    """
    key, fields = _target(simulation, argument, path)
    patch, form = fields.get("patch"), "merge"
    if "patch" in fields:
        _only(fields, path, "patch", "type")
        form = fields.get("type", form)
    elif "metadata" in fields:
        patch = fields
    if not isinstance(form, str) or form not in _PATCHES:
        raise StepError(f"{path}.type", f"expected one of {', '.join(_PATCHES)}")
    kind, expected = _PATCHES[form]
    if not isinstance(patch, kind):
        raise StepError(f"{path}.patch", f"expected {expected}")
    simulation.loop.patch(key, patch, form)


def _status(simulation: Simulation, argument: Any, path: str) -> None:
    key, fields = _target(simulation, argument, path)
    _only(fields, path, "status")
    status = fields.get("status")
    if not isinstance(status, dict):
        raise StepError(f"{path}.status", "expected a status")
    simulation.loop.patch(key, {"status": status})


def _delete(simulation: Simulation, argument: Any, path: str) -> None:
    """The fields are those of a v1 DeleteOptions."""
    key, fields = _target(simulation, argument, path)
    _only(fields, path, "propagationPolicy", "gracePeriodSeconds", "preconditions")
    policy, grace = fields.get("propagationPolicy"), fields.get("gracePeriodSeconds")
    if policy is not None and not isinstance(policy, str):
        raise StepError(f"{path}.propagationPolicy", "expected Background, Foreground or Orphan")
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise StepError(f"{path}.gracePeriodSeconds", "expected a whole number of seconds")
    wanted = fields.get("preconditions")
    if not isinstance(wanted, dict | None):
        raise StepError(f"{path}.preconditions", "expected an object with uid, resourceVersion or both")
    if not simulation.loop.delete(key, policy=policy, grace_period=grace, preconditions=wanted):
        raise StepError(path, f"there is no {key}")


def _advance(simulation: Simulation, argument: Any, path: str) -> None:
    duration = parse_duration(argument) if isinstance(argument, str) else -1
    if duration < 0:
        raise StepError(path, "expected a duration as in 30s")
    simulation.run_until(simulation.now + duration)


def _settle(simulation: Simulation, argument: Any, path: str) -> None:
    if argument is not True:
        raise StepError(path, "expected true")
    simulation.settle()


#: What a step of the batch protocol may be.
STEPS: dict[str, Callable[[Simulation, Any, str], None]] = {
    "advance": _advance,
    "apply": _apply,
    "delete": _delete,
    "patch": _patch,
    "settle": _settle,
    "status": _status,
}
