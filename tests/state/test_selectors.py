"""Selectors: kubectl's text, objects' selectors and nodes', against Kubernetes' cases and a plain oracle."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.objects import (
    LabelSelector,
    LabelSelectorRequirement,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
)
from state.selectors import (
    EVERYTHING,
    NOTHING,
    Operator,
    Selector,
    SelectorError,
    from_object,
    matches,
    matches_map,
    matches_node_selector,
    matches_node_selector_term,
    parse,
    requirement,
)

CASES = json.loads((Path(__file__).parent / "data" / "selectors.json").read_text())

keys = st.sampled_from(["a", "b", "in", "notin", "example.com/x"])
values = st.sampled_from(["", "x", "y", "in", "notin", "1", "5", "10"])
labels = st.dictionaries(keys, values, max_size=4)
operators = st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"])


@st.composite
def label_expressions(draw):
    operator = draw(operators)
    some = draw(st.lists(values, min_size=1, max_size=3)) if operator in {"In", "NotIn"} else []
    return LabelSelectorRequirement(key=draw(keys), operator=operator, values=tuple(some))


@st.composite
def requirements(draw):
    operator = draw(st.sampled_from(list(Operator)))
    if operator in {Operator.EXISTS, Operator.DOES_NOT_EXIST}:
        some = []
    elif operator in {Operator.GREATER, Operator.LESS}:
        some = [str(draw(st.integers(0, 20)))]
    elif operator in {Operator.IN, Operator.NOT_IN}:
        some = draw(st.lists(values, min_size=1, max_size=4))
    else:
        some = [draw(values)]
    return requirement(draw(keys), operator, some)


label_selectors = st.builds(
    LabelSelector,
    match_labels=st.dictionaries(keys, values, max_size=2),
    match_expressions=st.lists(label_expressions(), max_size=3).map(tuple),
)
selectors = st.lists(requirements(), max_size=5).map(lambda found: Selector(tuple(found)))


def oracle(key: str, operator: str, wanted: tuple[str, ...], found: dict[str, str]) -> bool:
    """One condition by the book."""
    return {
        "In": key in found and found[key] in wanted,
        "NotIn": key not in found or found[key] not in wanted,
        "Exists": key in found,
        "DoesNotExist": key not in found,
    }[operator]


@pytest.mark.parametrize(("text", "printed"), CASES["texts"])
def test_texts_are_read_and_printed_as_kubernetes_does(text, printed):
    assert str(parse(text)) == printed
    assert parse(printed) == parse(text)


@pytest.mark.parametrize(("text", "message"), CASES["errors"])
def test_wrong_texts_are_refused_in_kubernetes_words(text, message):
    with pytest.raises(SelectorError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "found", "picked"), CASES["matches"])
def test_texts_match_as_kubernetes_does(text, found, picked):
    assert parse(text).matches(found) is picked


@given(selectors)
def test_reading_what_was_printed_gives_the_same(selector):
    assert parse(str(selector)) == selector


@given(selectors, labels)
def test_a_selector_is_the_sum_of_its_requirements(selector, found):
    assert selector.matches(found) == all(part.matches(found) for part in selector.requirements)
    if selector.matches(found):
        assert selector.equalities().items() <= found.items()


@given(st.text("ab=!,()<> \tin", max_size=20))
def test_any_text_is_read_or_refused(text):
    """Nothing but ``SelectorError`` comes out of arbitrary text, and what is read is printed stably."""
    try:
        selector = parse(text)
    except SelectorError:
        return
    assert parse(str(selector)) == selector


@given(label_selectors, labels)
def test_objects_match_by_the_book(selector, found):
    by_the_book = all(found.get(key) == value for key, value in selector.match_labels.items()) and all(
        oracle(part.key, part.operator, part.values, found) for part in selector.match_expressions
    )
    assert matches(selector, found) == from_object(selector).matches(found) == by_the_book
    assert matches_map(selector.match_labels, found) == matches(
        LabelSelector(match_labels=selector.match_labels), found
    )


@given(labels)
def test_no_selector_picks_nothing_and_an_empty_one_everything(found):
    assert not matches(None, found)
    assert not from_object(None).matches(found)
    assert matches(LabelSelector(), found)
    assert from_object(LabelSelector()).matches(found)
    assert matches_map({}, found)


def test_the_two_ends_are_told_apart():
    assert from_object(None) == NOTHING
    assert from_object(LabelSelector()) == EVERYTHING == parse("")
    assert (EVERYTHING.everything, NOTHING.everything, parse("a").everything) == (True, False, False)
    assert str(EVERYTHING) == str(NOTHING) == ""


def test_equalities_are_the_labels_with_one_value():
    assert parse("a=1,b==2,c in (3),d in (4,5),e!=6,f,!g,h>1").equalities() == {"a": "1", "b": "2", "c": "3"}


def test_the_order_of_requirements_is_that_of_keys():
    """Two selectors that say the same print the same, whatever the order of the maps they came from."""
    one = LabelSelector(match_labels={"b": "1", "a": "2"})
    other = LabelSelector(match_labels={"a": "2", "b": "1"})
    assert str(from_object(one)) == str(from_object(other)) == "a=2,b=1"


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (
            LabelSelector(match_expressions=(LabelSelectorRequirement(key="a", operator="Odd"),)),
            '"Odd" is not a valid label selector operator',
        ),
        (
            LabelSelector(match_expressions=(LabelSelectorRequirement(key="a", operator="Gt", values=("1",)),)),
            '"Gt" is not a valid label selector operator',
        ),
        (
            LabelSelector(match_expressions=(LabelSelectorRequirement(key="a", operator="In"),)),
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            LabelSelector(match_expressions=(LabelSelectorRequirement(key="a", operator="Exists", values=("x",)),)),
            'values: Invalid value: ["x"]: values set must be empty for exists and does not exist',
        ),
    ],
)
def test_objects_that_make_no_sense_are_refused(selector, message):
    with pytest.raises(SelectorError) as caught:
        from_object(selector)
    assert str(caught.value) == message


def test_an_operator_that_does_not_exist_is_never_taken_for_a_mismatch():
    selector = LabelSelector(match_expressions=(LabelSelectorRequirement(key="a", operator="Odd"),))
    with pytest.raises(SelectorError, match='"Odd" is not a valid label selector operator'):
        matches(selector, {})


def test_a_requirement_tells_all_that_is_wrong_with_it():
    with pytest.raises(SelectorError) as caught:
        requirement("-", Operator.GREATER, ["-x", "1"])
    assert str(caught.value).count("Invalid value") == 4


def expression(key: str, operator: str, *wanted: str) -> NodeSelectorRequirement:
    return NodeSelectorRequirement(key=key, operator=operator, values=wanted)


def term(*expressions: NodeSelectorRequirement, fields: tuple[NodeSelectorRequirement, ...] = ()) -> NodeSelectorTerm:
    return NodeSelectorTerm(match_expressions=expressions, match_fields=fields)


NODE = {"zone": "a", "cores": "8", "odd": "8x"}


@pytest.mark.parametrize(
    ("part", "picked"),
    [
        (expression("zone", "In", "a", "b"), True),
        (expression("zone", "In", "b"), False),
        (expression("zone", "NotIn", "b"), True),
        (expression("zone", "NotIn", "a"), False),
        (expression("rack", "NotIn", "a"), True),
        (expression("zone", "Exists"), True),
        (expression("rack", "Exists"), False),
        (expression("rack", "DoesNotExist"), True),
        (expression("cores", "Gt", "7"), True),
        (expression("cores", "Gt", "8"), False),
        (expression("cores", "Lt", "10"), True),
        (expression("cores", "Lt", "8"), False),
        (expression("rack", "Gt", "0"), False),
        (expression("odd", "Gt", "0"), False),
        # What isn't valid picks nothing, not even by a negation.
        (expression("zone", "NotIn"), False),
        (expression("zone", "In"), False),
        (expression("zone", "Exists", "a"), False),
        (expression("cores", "Gt", "many"), False),
        (expression("cores", "Gt", "1", "2"), False),
        (expression("cores", "Gt"), False),
        (expression("zone", "Odd", "a"), False),
        (expression("zone", "NotIn", "not valid!"), False),
        (expression("not valid!", "DoesNotExist"), False),
    ],
)
def test_conditions_on_a_nodes_labels(part, picked):
    assert matches_node_selector_term(term(part), NODE, "n1") is picked


@pytest.mark.parametrize(
    ("part", "picked"),
    [
        (expression("metadata.name", "In", "n1"), True),
        (expression("metadata.name", "In", "n2"), False),
        (expression("metadata.name", "NotIn", "n2"), True),
        (expression("metadata.name", "NotIn", "n1"), False),
        (expression("metadata.name", "In", "n1", "n2"), False),
        (expression("metadata.name", "Exists"), False),
        (expression("metadata.namespace", "In", "x"), False),
        (expression("metadata.namespace", "NotIn", "x"), True),
    ],
)
def test_conditions_on_a_nodes_fields(part, picked):
    assert matches_node_selector_term(term(fields=(part,)), NODE, "n1") is picked


def test_a_term_wants_all_its_conditions_and_a_selector_any_term():
    zone, name = expression("zone", "In", "a"), expression("metadata.name", "In", "n1")
    assert matches_node_selector_term(term(zone, fields=(name,)), NODE, "n1")
    assert not matches_node_selector_term(term(zone, fields=(name,)), NODE, "n2")
    assert not matches_node_selector_term(term(zone, expression("rack", "Exists")), NODE, "n1")
    wrong = term(expression("zone", "Odd"))
    assert matches_node_selector(NodeSelector(node_selector_terms=(wrong, term(), term(zone))), NODE, "n1")
    assert not matches_node_selector(NodeSelector(node_selector_terms=(wrong, term())), NODE, "n1")


def test_an_empty_term_or_selector_picks_no_node():
    assert not matches_node_selector_term(term(), NODE, "n1")
    assert not matches_node_selector(NodeSelector(), NODE, "n1")


@given(st.lists(label_expressions(), min_size=1, max_size=3), labels)
def test_terms_match_by_the_book(parts, found):
    """A node's conditions mean the same as a label selector's where both exist."""
    expressions = [expression(part.key, part.operator, *part.values) for part in parts]
    by_the_book = all(oracle(part.key, part.operator, part.values, found) for part in parts)
    assert matches_node_selector_term(term(*expressions), found, "n1") == by_the_book
