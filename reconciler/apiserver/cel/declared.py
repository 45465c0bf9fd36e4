"""What an expression names without its being there: told when the expression is stored."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.apiserver.cel import functions
from reconciler.apiserver.cel.macros import bound_by
from reconciler.apiserver.cel.tree import SPECIAL, Call, Ident, Index, Items, Node, Select, located
from reconciler.apiserver.cel.values import KINDS, OPERATORS


def undeclared(node: Node, known: frozenset[str], text: str) -> Iterator[str]:
    """What a tree uses beside ``known`` names and the functions that there are, in cel-go's words."""
    match node:
        case Ident(at, name):
            if name not in known and name not in KINDS:
                yield located(text, at, f"undeclared reference to '{name}' (in container '')")
        case Select(_, of):
            yield from undeclared(of, known, text)
        case Index(_, of, key):
            yield from undeclared(of, known, text)
            yield from undeclared(key, known, text)
        case Items(_, _, entries):
            for entry in entries:
                if isinstance(entry.key, Node):
                    yield from undeclared(entry.key, known, text)
                yield from undeclared(entry.value, known, text)
        case Call():
            yield from _undeclared_call(node, known, text)


def _undeclared_call(node: Call, known: frozenset[str], text: str) -> Iterator[str]:
    bound = bound_by(node)
    target = node.target
    is_package = (
        isinstance(target, Ident) and functions.is_known(f"{target.name}.{node.name}") and (target.name not in known)
    )
    if bound:
        inner, rest = known | bound, node.args[len(bound) :]
        if isinstance(target, Ident) and target.name == "cel":
            yield from undeclared(rest[0], known, text)
            rest = rest[1:]
        elif target is not None:
            yield from undeclared(target, known, text)
        for each in rest:
            yield from undeclared(each, inner, text)
        return
    if target is not None and not is_package:
        yield from undeclared(target, known, text)
    if not (is_package or functions.is_known(node.name) or node.name in SPECIAL or node.name in OPERATORS):
        yield located(text, node.at, f"undeclared reference to '{node.name}' (in container '')")
    for each in node.args:
        yield from undeclared(each, known, text)
