"""Whether an expression can ever be evaluated: told when it is stored, in cel-go's words.

Every part gets a type; a part that is wrong is told once, and counts as ``dyn`` for what is around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.apiserver.cel import functions
from reconciler.apiserver.cel.macros import bound_by
from reconciler.apiserver.cel.signatures import signatures
from reconciler.apiserver.cel.tree import Call, Ident, Index, Items, Literal, Node, Select, located
from reconciler.apiserver.cel.types import BOOL, DYN, INT, NULL, STRING, Type, escaped, filled, fits
from reconciler.apiserver.cel.values import KINDS, OPERATORS, CelError, UInt

Names = Mapping[str, Type]
_OPERATORS = {**{name: f"_{name}_" for name in OPERATORS}, "in": "@in", "!_": "!_", "-_": "-_", "?:": "_?_:_"}
_LITERALS: dict[type, Type] = {
    bool: BOOL,
    bytes: Type("bytes"),
    float: Type("double"),
    int: INT,
    str: STRING,
    UInt: Type("uint"),
    type(None): NULL,
}
_RANGES = frozenset({"dyn", "list", "map"})
#: Functions whose argument is looked at if it is a literal: what reads it.
_READ = {"duration": "duration", "timestamp": "timestamp"}


class Checked:
    """What the check of one expression found.

    Attributes:
        type: what it is.
        faults: what is wrong with it, each with its place.
        kinds: what its parts are, by the ``id`` of the node.
    """

    def __init__(self, tree: Node, text: str, names: Names) -> None:
        self.faults: list[str] = []
        self.kinds: dict[int, Type] = {}
        self._text = text
        self.type = self._of(tree, names)

    def _fault(self, at: int, why: str) -> Type:
        told = located(self._text, at, why)
        if told not in self.faults:
            self.faults.append(told)
        return DYN

    def _of(self, node: Node, names: Names) -> Type:
        kind = self.kinds[id(node)] = self._kind(node, names)
        return kind

    def _kind(self, node: Node, names: Names) -> Type:
        match node:
            case Literal(_, value):
                return _LITERALS[type(value)]
            case Ident(at, name):
                return self._name(at, name, names)
            case Select():
                return self._field(node, names, node.at)
            case Index(at, of, key, is_optional):
                function = "_[?_]" if is_optional else "_[_]"
                return self._called(function, at, [self._of(of, names), self._of(key, names)])
            case Items():
                return self._items(node, names)
            case Call():
                return self._call(node, names)
        raise AssertionError(node)

    def _name(self, at: int, name: str, names: Names) -> Type:
        if name in names:
            return names[name]
        if name in KINDS:
            return Type("type")
        return self._fault(at, f"undeclared reference to '{name}' (in container '')")

    def _field(self, node: Select, names: Names, at: int) -> Type:
        """A field, or whether there is one: then the place is the macro's."""
        of = self._of(node.of, names)
        is_optional = node.is_optional or of.name == "opt"
        inner = of.of[0] if of.name == "opt" else of
        found = DYN
        if inner.name == "object":
            fields = inner.fields
            name = node.name if node.name in fields else escaped(node.name)
            if name not in fields:
                return self._fault(at, f"undefined field '{node.name}'")
            found = fields[name]
        elif inner.name == "map":
            found = inner.of[1]
        elif inner.name != "dyn":
            return self._fault(at, f"type '{inner}' does not support field selection")
        return Type("opt", (found,)) if is_optional else found

    def _items(self, node: Items, names: Names) -> Type:
        if node.kind not in ("[", "{"):
            for entry in node.entries:
                self._of(entry.value, names)
            return DYN
        values = self._same([(entry.value, entry.is_optional) for entry in node.entries], names)
        if node.kind == "[":
            return Type("list", (values,))
        keys = [(entry.key, False) for entry in node.entries if isinstance(entry.key, Node)]
        return Type("map", (self._same(keys, names), values))

    def _same(self, parts: Iterable[tuple[Node, bool]], names: Names) -> Type:
        """The type that all have, some of them optionally; it is told where another is."""
        first: Type | None = None
        for node, is_optional in parts:
            found = self._of(node, names)
            if is_optional and found.name == "opt":
                found = found.of[0]
            if first is None:
                first = found
            elif not fits(first, found, {}) or (first.name == "dyn") != (found.name == "dyn"):
                self._fault(node.at, f"expected type '{first}' but found '{found}'")
        return first or DYN

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _call(self, node: Call, names: Names) -> Type:
        name, target = node.name, node.target
        if target is None and name in ("&&", "||"):
            for each in node.args:
                self._condition(each, names)
            return BOOL
        if target is None and name == "has" and len(node.args) == 1 and isinstance(node.args[0], Select):
            self._field(node.args[0], names, node.at)
            return BOOL
        if bound_by(node):
            return self._macro(node, names)
        if target is None and name in _OPERATORS and len(node.args) in (1, 2, 3):
            return self._called(_OPERATORS[name], node.at, [self._of(each, names) for each in node.args])
        if isinstance(target, Ident) and target.name not in names and functions.is_known(f"{target.name}.{name}"):
            return self._function(node, f"{target.name}.{name}", node.args, names)
        whole = node.args if target is None else (target, *node.args)
        return self._function(node, name, whole, names)

    def _function(self, node: Call, name: str, whole: Sequence[Node], names: Names) -> Type:
        is_method = len(whole) > len(node.args)
        if name == "format" and is_method and isinstance(node.args[0], Items):
            for entry in node.args[0].entries:  # which may be of many types
                self._of(entry.value, names)
            kinds = [self._of(whole[0], names), Type("list", (DYN,))]
            return self._called(name, node.at, kinds, is_method=True)
        kinds = [self._of(each, names) for each in whole[:is_method]]
        if not functions.is_known(name):
            self._fault(node.at, f"undeclared reference to '{name}' (in container '')")
        kinds += [self._of(each, names) for each in node.args]
        if not functions.is_known(name):
            return DYN
        found = self._called(name, node.at, kinds, is_method=is_method)
        self._literals(name, whole)
        return found

    def _literals(self, name: str, whole: Sequence[Node]) -> None:
        """What is written out can be looked at now."""
        last = whole[-1] if whole else None
        if not isinstance(last, Literal) or not isinstance(last.value, str):
            return
        try:
            if name in _READ:
                functions.call(name, [last.value])
            elif name == "matches":
                functions.pattern_of(last.value)
        except CelError:
            self._fault(last.at, f"invalid {name} argument")

    def _called(self, name: str, at: int, kinds: Sequence[Type], *, is_method: bool = False) -> Type:
        overloads = signatures(name)
        if not overloads:
            return DYN
        results = []
        for each in overloads:
            bound: dict[str, Type] = {}
            is_form = each.is_method == is_method and len(each.arguments) == len(kinds)
            if is_form and all(fits(wanted, found, bound) for wanted, found in zip(each.arguments, kinds, strict=True)):
                results.append(filled(each.result, bound))
        if not results:
            shown = [str(each) for each in kinds]
            applied = f"{shown[0]}.({', '.join(shown[1:])})" if is_method else f"({', '.join(shown)})"
            return self._fault(at, f"found no matching overload for '{name}' applied to '{applied}'")
        return results[0] if all(each == results[0] for each in results) else DYN

    # -- macros --------------------------------------------------------------------------------------------------------

    def _condition(self, node: Node, names: Names) -> None:
        found = self._of(node, names)
        if found.name not in ("bool", "dyn"):
            self._fault(node.at, f"expected type 'bool' but found '{found}'")

    def _macro(self, node: Call, names: Names) -> Type:
        assert node.target is not None
        count = len(bound_by(node))
        variables = [each.name for each in node.args[:count] if isinstance(each, Ident)]
        rest = node.args[count:]
        over = self._of(node.target, names)
        if node.name in ("optMap", "optFlatMap"):
            inner = over.of[0] if over.name == "opt" else DYN
            found = self._of(rest[0], {**names, variables[0]: inner})
            return Type("opt", (found,)) if node.name == "optMap" else found
        if over.name not in _RANGES:
            why = f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)"
            self._fault(node.target.at, why)
            over = DYN
        inside = {**names, **dict(zip(variables, _items_of(over, count), strict=True))}
        return self._iterated(node, over, rest, inside)

    def _iterated(self, node: Call, over: Type, rest: Sequence[Node], names: Names) -> Type:
        """A macro that looks at each item."""
        if node.name == "sortBy":
            self._of(rest[0], names)
            return over
        if node.name in ("all", "exists", "exists_one", "existsOne"):
            self._condition(rest[0], names)
            return BOOL
        *conditions, last = rest
        if node.name == "filter":
            conditions, last = [last], node.args[0]
        for condition in conditions:
            kind, result = self._of(condition, names), Type("list", (self._of(last, names),))
            if kind.name not in ("bool", "dyn"):
                self._called("_?_:_", node.at, [kind, result, result])
        made = self._of(last, names)
        if node.name == "transformMapEntry":
            return made
        return (
            Type("map", (over.of[0] if over.name == "map" else INT, made))
            if node.name == "transformMap"
            else Type("list", (made,))
        )


def _items_of(over: Type, count: int) -> tuple[Type, ...]:
    """What the variables of a macro are: an item or a key, or a key or index and a value."""
    if over.name == "map":
        return over.of if count == 2 else over.of[:1]
    item = over.of[0] if over.of else DYN
    key = INT if over.name == "list" else DYN
    return (key, item) if count == 2 else (item,)
