"""What a path of the API means."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.apiserver.resources import Place, Registry, Resource
from reconciler.apiserver.status import (
    bad_request,
    method_not_allowed,
    no_such_resource,
    not_found,
    verb_not_supported,
)
from state.validation.metadata import path_segment

#: The verb of a method on a collection, on an object, and on a part of one.
_COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PART = {**_OBJECT, "POST": "create"}


#: How many parts a path under each root has at least, when it is about a version.
_SHORTEST = {"api": 2, "apis": 3}


class Target(NamedTuple):
    """Where a request goes, and its verb as authorisation and discovery know it."""

    place: Place
    verb: str


class UnknownPathError(Exception):
    """Nothing is served below that path, not even by the API's own 404."""


def target(registry: Registry, path: str, method: str, *, wants_watch: bool = False) -> Target:
    """What a path under /api or /apis means. One that ``wants_watch`` by its query has it of a collection only.

    Raises:
        UnknownPathError: no such group.
        ApiError: no such resource, or not that method.
    """
    parts = path.strip("/").split("/")
    if "" in parts or len(parts) < _SHORTEST.get(parts[0], len(parts) + 1):
        raise UnknownPathError(path)
    group, rest = ("", parts[1:]) if parts[0] == "api" else (parts[1], parts[2:])
    if parts[0] == "apis" and group not in registry.group_versions:
        raise UnknownPathError(path)
    version, rest = rest[0], rest[1:]
    is_watch = bool(rest) and rest[0] == "watch"
    rest = rest[1:] if is_watch else rest
    if is_watch and method != "GET":
        raise method_not_allowed()
    namespace = ""
    if rest[:1] == ["namespaces"] and group == "":
        resource, rest = _in_namespace(registry, group, version, rest)
        if resource is not None:
            return _found(resource, "", rest, method, is_watch=is_watch or (wants_watch and not rest))
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    if not rest and any((each.group, each.version) == (group, version) for each in registry.resources):
        raise method_not_allowed()  # of the list of resources, which can only be read
    is_watch = is_watch or (wants_watch and len(rest) == 1)
    resource = registry.find(group, version, rest[0]) if rest else None
    if resource is not None and resource.is_custom:
        return _found_custom(resource, namespace, rest[1:], method, is_watch=is_watch)
    if resource is None and is_defined(registry, group):
        raise UnknownPathError(path)
    if resource is None or (namespace and not resource.namespaced):
        raise no_such_resource()
    return _found(resource, namespace, rest[1:], method, is_watch=is_watch)


def _in_namespace(registry: Registry, group: str, version: str, rest: list[str]) -> tuple[Resource | None, list[str]]:
    """The resource ``namespaces`` itself and what follows it, if the path isn't about something in one."""
    resource = registry.find(group, version, "namespaces")
    is_about_one = len(rest) <= 2 or (len(rest) == 3 and resource is not None and rest[2] in resource.subresources)
    return (resource, rest[1:]) if is_about_one else (None, rest)


def _found(resource: Resource, namespace: str, rest: list[str], method: str, *, is_watch: bool) -> Target:
    if len(rest) > 2 and rest[1] != "proxy":
        raise no_such_resource()
    name, subresource = (*rest[:2], "", "")[:2]
    if name and resource.namespaced and not namespace:
        raise no_such_resource()
    if subresource:
        part = resource.subresources.get(subresource)
        if part is None:
            raise no_such_resource()
        verb, allowed = _PART.get(method), part.verbs
    else:
        verb, allowed = (_OBJECT if name else _COLLECTION).get(method), resource.verbs
    if verb is None or verb not in allowed or (resource.namespaced and not namespace and _needs_namespace(verb)):
        raise method_not_allowed()
    if is_watch and verb in ("list", "get") and not subresource:
        verb = "watch"
        if verb not in resource.verbs:
            raise method_not_allowed()
    _check_name(name)
    return Target(Place(resource, namespace, name, subresource), verb)


def _check_name(name: str) -> None:
    """A name is one that can stand in a key of the store.

    Raises:
        ApiError: it isn't.
    """
    faults = path_segment(name)
    if faults:
        raise bad_request(f'Name parameter invalid: "{name}": {";".join(faults)}')


def is_defined(registry: Registry, group: str) -> bool:
    """Whether all that a group has comes from CustomResourceDefinitions; nobody else answers for it then."""
    return all(each.is_custom for each in registry.resources if each.group == group)


def _found_custom(resource: Resource, namespace: str, rest: list[str], method: str, *, is_watch: bool) -> Target:
    """As kube-apiserver's handler of custom resources, which is not as particular as that of the others."""
    name, subresource = (*rest[:2], "", "")[:2]
    verb = _OBJECT.get(method, "") if name else _COLLECTION.get(method, _OBJECT.get(method, ""))
    verb = "create" if method == "POST" else verb
    if is_watch and verb in ("list", "get"):
        verb = "watch"
    if bool(namespace) != resource.namespaced and not (resource.namespaced and verb in ("list", "watch") and not name):
        raise UnknownPathError(resource.plural)
    part = resource.subresources.get(subresource)
    if subresource and part is None:
        raise not_found(resource.plural, resource.group, name)
    if verb not in (resource.verbs if part is None else part.verbs):
        raise verb_not_supported(resource.plural, resource.group, verb)
    if not name and verb in ("patch", "update"):
        raise bad_request("name must be provided")
    _check_name(name)
    return Target(Place(resource, namespace, "" if verb == "create" else name, subresource), verb)


def _needs_namespace(verb: str) -> bool:
    """Whether a verb is about one namespace; lists and watches may be about all."""
    return verb != "list"
