"""The Common Expression Language: values, errors, macros, Kubernetes' functions, and bounds."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apiserver.cel import CelBudgetError, CelError, CelSyntaxError, Lazy, Steps, compiled
from reconciler.apiserver.cel.types import DYN

OBJECT = {
    "spec": {"replicas": 7, "containers": [{"image": "a:1", "n": 1}, {"image": "b:2"}]},
    "metadata": {"name": "xy", "labels": {"a/b": "c"}},
}


def value(text: str, **names: Any) -> Any:
    return compiled(text).evaluate({"object": OBJECT, **names})


@pytest.mark.parametrize(
    "text",
    [
        "object.spec.replicas == 7 && !has(object.spec.none)",
        "object.?spec.?none.orValue(3) == 3",
        "object.metadata.?labels['a/b'].orValue('') == 'c'",
        "object.metadata.labels.`a/b` == 'c'",
        "object.metadata[?'none'].hasValue() == false",
        "object.spec.containers.all(c, c.image.size() == 3)",
        "object.spec.containers.exists(i, c, i == 1 && c.image == 'b:2')",
        "object.spec.containers.exists_one(c, has(c.n))",
        "object.spec.containers.map(c, has(c.n), c.n) == [1]",
        "object.spec.containers.filter(c, !has(c.n))[0].image == 'b:2'",
        "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "{'a': 1, 'b': 2}.transformMapEntry(k, v, v > 1, {v: k}) == {2: 'b'}",
        "[object.spec.replicas * 2].all(twice, twice == 14)",
        "optional.of(1).optMap(x, x + 1).value() == 2",
        "[1, ?object.?none, 2] == [1, 2]",
        "{'a': 1, ?'b': object.?none} == {'a': 1}",
        "object.none || true",
        "true || object.none",
        "!(object.none && false)",
        "1 == 1.0 && 1u == 1 && true != 1",
        "[1, 2.0] == [1.0, 2] && !([1] == ['1'])",
        "7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1",
        "1 < 2 ? true : object.none",
        "'a' in object.metadata.labels == false && 2 in [1, 2]",
        "'%s is %d of %.2f'.format(['x', 3, 1.5]) == 'x is 3 of 1.50'",
        r"""strings.quote('a "b"\n\\') == '"a \\"b\\"\\n\\\\"'""",
        "quantity('1Gi').isGreaterThan(quantity('1Mi')) && quantity('1000m') == quantity('1')",
        "quantity('50k').add(20).compareTo(quantity('50020')) == 0",
        "isQuantity('1Gi') && !isQuantity('x')",
        "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.1.1')",
        "cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16')) && !isIP('::ffff:1.2.3.4')",
        "url('https://u@x.y:80/p?q=1').getHost() == 'x.y:80' && isURL('/a') && !isURL('a b')",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.2', true).minor() == 2",
        "semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
        "format.dns1123Label().validate('ok').hasValue() == false",
        "format.named('dns1123Label').value().validate('No').hasValue()",
        "sets.contains([1, 2], [1.0]) && sets.equivalent([1, 1], [1])",
        "[3, 1, 2].sort() == [1, 2, 3]",
        "timestamp('2020-02-03T04:05:06Z').getMonth() == 1 && duration('90m').getHours() == 1",
        "timestamp('2020-01-01T00:00:00Z') + duration('1h') == timestamp('2020-01-01T01:00:00Z')",
        "timestamp('2020-01-01T23:00:00Z').getDate('+02:00') == 2",
        "string(duration('1h')) == '3600s' && string(1.0) == '1' && string(true) == 'true'",
        "int('3') + 1 == 4 && double('1.5') == 1.5 && type(1) == int && type(object) == map",
        "'abc'.matches('^a.c$') && 'a,b'.split(',').join('-') == 'a-b' && 'abc'.substring(1) == 'bc'",
        "b'a\\x01'.size() == 2 && r'\\d' == '\\\\d' && '''a\n'b''' == \"a\\n'b\"",
        "jsonpatch.escapeKey('a/b~c') == 'a~1b~0c'",
        "Object{spec: Object.spec{replicas: 1}} == {'spec': {'replicas': 1}}",
    ],
)
def test_what_is_true(text: str) -> None:
    """The language with Kubernetes' additions."""
    assert value(text) is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("object.spec.none", "no such key: none"),
        ("oldObject.spec", "no such key: spec"),
        ("1 + 'a'", "no such overload"),
        ("object.spec.containers[5]", "index out of bounds: 5"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("object.none || false", "no such key: none"),
        ("1 && true", "no such overload"),
        ("nobody", "no such attribute(s): nobody"),
        ("optional.none().value()", "optional.none() dereference"),
        ("quantity('x')", "quantities must match the regular expression"),
        ("{'a': 1, 'a': 2}", "Failed with repeated key: a"),
        ("'a'.matches('[')", "error parsing regexp"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
    ],
)
def test_what_has_no_value(text: str, why: str) -> None:
    """In cel-go's words."""
    with pytest.raises(CelError) as error:
        value(text, oldObject=None)
    assert str(error.value).startswith(why)


@pytest.mark.parametrize("text", ["1 +", "a..b", "a ? b", "namespace", "-1u", "'a", "[1", "f(", "(" * 100 + "1", "a b"])
def test_what_is_no_expression(text: str) -> None:
    """It is told with the place."""
    with pytest.raises(CelSyntaxError, match=r"ERROR: <input>:1:\d+: "):
        compiled(text)


def test_what_is_not_declared_is_known_before() -> None:
    """Names and functions; macros declare theirs."""
    known = {"object": DYN}
    (problem,) = compiled("object.x.all(y, y == z)").checked(known).faults
    assert problem == (
        "ERROR: <input>:1:22: undeclared reference to 'z' (in container '')\n"
        " | object.x.all(y, y == z)\n"
        " | .....................^"
    )
    assert len(compiled("foo(1) && object.bar()").checked(known).faults) == 2
    fine = "[object.x].all(a, a.exists(k, v, k == v)) && sets.contains([1], [1]) && type(object) == map"
    assert not compiled(fine).checked(known).faults


def test_a_lazy_name_is_computed_once_and_only_if_it_is_needed() -> None:
    """As a policy's variables are."""
    calls: list[int] = []
    name = Lazy(lambda: calls.append(1) or 5)
    assert value("true || lazy > 1", lazy=name) is True
    assert calls == []
    assert value("lazy + lazy", lazy=name) == 10
    assert calls == [1]


@pytest.mark.parametrize(
    "text",
    [
        "lists.range(1000).all(x, lists.range(1000).all(y, lists.range(1000).all(z, true)))",
        "".join(f"optional.of(a{i - 1} + a{i - 1}).optMap(a{i}, " for i in range(1, 40)) + "a39.size() > 0" + ")" * 39,
    ],
)
def test_nothing_takes_for_ever(text: str) -> None:
    """Neither long loops nor values that double; what one evaluation left is left for the next."""
    with pytest.raises(CelBudgetError, match="running out of cost budget"):
        value(text, a0="0123456789")
    steps = Steps(5)
    assert compiled("object.spec.replicas > 1").evaluate({"object": OBJECT}, steps) is True
    with pytest.raises(CelBudgetError):
        compiled("object.spec.replicas > 1").evaluate({"object": OBJECT}, steps)


def test_long_rows_are_no_deep_trees() -> None:
    """Of conditions there may be thousands; what is too deep is an error like others."""
    assert value(" && ".join(["true"] * 2000)) is True
    with pytest.raises((CelError, CelSyntaxError)):
        value("+".join(["1"] * 5000))


@given(st.text(alphabet="ab01.?[](){}<>=!&|+-*/%\"'`, :\\\n", max_size=40))
def test_no_text_does_anything_but_evaluate_or_be_refused(text: str) -> None:
    """Whatever somebody stores."""
    with suppress(CelError, CelSyntaxError):
        value(text, a={"b": [1, "x"]}, b=2.5)
