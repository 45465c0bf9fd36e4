"""Text to plain documents: JSON and YAML, good, bad and hostile."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.manifests import documents
from state.yaml_reader import ALIAS_LIMIT, Trap

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def read(text):
    """The values of a text, or the message where there is none."""
    return [document.value if document.problem is None else document.problem.message for document in documents(text)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("\n---\n# nothing\n---\n", []),
        ("a: 1", [{"a": 1}]),
        (b"\xef\xbb\xbfa: \xc3\xa9", [{"a": "é"}]),
        ("--- {a: 1}\n--- # two\nb: 2\n---\nc: 3", [{"a": 1}, {"b": 2}, {"c": 3}]),
        ("a: 1\n...\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        ("a: |\n  x\n  --- y\n---\nb: 2", [{"a": "x\n--- y\n"}, {"b": 2}]),
        ("a: '---'\n---a: 2", [{"a": "---", "---a": 2}]),
        ("a: 1\r\n---\r\nb: 2\r\n", [{"a": 1}, {"b": 2}]),
        ('{"a": 1}', [{"a": 1}]),
        ('--- {"a": 1}\n---\n{"b": [1, 2]}\n', [{"a": 1}, {"b": [1, 2]}]),
        ('{"a": 1}{"b": 2}\n\n{"c": 3}', [{"a": 1}, {"b": 2}, {"c": 3}]),
        ('[{"a": 1}, {"b": 2}]', [[{"a": 1}, {"b": 2}]]),
        ("{a: 1, b: [x, z]}", [{"a": 1, "b": ["x", "z"]}]),
    ],
)
def test_documents(text, values):
    """One or many, in either notation, with and without separators."""
    assert read(text) == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2026-01-01\nb: 2026-01-01T00:00:00Z", {"a": "2026-01-01", "b": "2026-01-01T00:00:00Z"}),
        ("a: 22:22\nb: 1e3\nc: 1.0", {"a": "22:22", "b": 1000, "c": 1}),
        ("a: '1'\nb: \"yes\"\nc: !!str 5\nd: ! 6", {"a": "1", "b": "yes", "c": "5", "d": "6"}),
        ("e: !!int '7'\nf: !!float 8\ng: !!bool yes\nh: !!null ''", {"e": 7, "f": 8, "g": True, "h": None}),
        ("1: a\n1.5: b\ntrue: c\n'2': d", {"1": "a", "1.5": "b", "true": "c", "2": "d"}),
        ("a: !!binary aGk=", {"a": "hi"}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        (
            "a: &x {b: 1, c: 2}\nd: {c: 3, <<: [{c: 4, e: 5}, *x]}",
            {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3, "e": 5}},
        ),
        ("a: &x [1, &y 2]\nb: *x\nc: *y", {"a": [1, 2], "b": [1, 2], "c": 2}),
        ("\"<<\": 1\n'=': 2", {"<<": 1, "=": 2}),
        ("&k key: 1\nb: *k", {"key": 1, "b": "key"}),
        (r'''a: "it\'s \"so\" \\'"''', {"a": "it's \"so\" \\'"}),
    ],
)
def test_yaml_as_kubectl_reads_it(text, value):
    """Dates are text, tags and merge keys work, keys become text, and ``\\'`` is an escape."""
    assert read(text) == [value]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2", "line 2, column 2: did not find expected ',' or ']' while parsing a flow sequence"),
        ("x: 1\n---\na: b: c", "line 3, column 5: mapping values are not allowed in this context"),
        ("a: é\nb: \x01", "line 2, column 4: control characters are not allowed (U+0001)"),
        ("\ta: 1", "line 1, column 1: found character that cannot start any token while scanning for the next token"),
        ("a: .nan", "line 1: .nan is no JSON value"),
        ("a: *b", "line 1: unknown anchor 'b' referenced"),
        ("a: &b [*b]", "line 1: anchor 'b' value contains itself"),
        ("? [a]\n: 1", "line 1: the key of a map must be a scalar"),
        ("a: &b {}\n? *b\n: 1", "line 2: the key of a map must be a scalar"),
        ("~: 1", "line 1: the key of a map must not be null"),
        ("<<: 1\na: 2", "line 1: map merge requires map or sequence of maps as the value"),
        ("<<: [1]\na: 2", "line 1: map merge requires map or sequence of maps as the value"),
        ("a: !!int x", "line 1: cannot read 'x' as !!int"),
        ("a: !!binary '*'", "line 1: !!binary value is not text in base64: Only base64 data is allowed"),
        ("{{ .Values.x }}: 1", "line 1: the key of a map must be a scalar"),
        ('{"a": NaN}', "line 1, column 7: NaN is no JSON value"),
        ('{"a":\n -Infinity}', "line 2, column 3: Infinity is no JSON value"),
        ('\n---\n{"a": 1,}', "line 3, column 8: trailing comma is not allowed"),
        ('{"a": 1e999}', "line 1, column 7: number is infinity when parsed as double"),
        ('{"a": "\\ud800"}', "line 1, column 8: no low surrogate in string"),
        (b'{"a": "\xff"}', "byte 8 is not UTF-8: invalid start byte"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text, message):
    """The last document of each text is broken."""
    assert read(text)[-1] == message


def test_a_broken_document_costs_only_itself():
    """In YAML between separators, in JSON one document a line."""
    assert [type(value) for value in read("a: 1\n---\nb: [\n---\nc: 3\n")] == [dict, str, dict]
    assert [type(value) for value in read('{"a": 1}\n{"b": \n{"c": 3}\n{"d": x}\n{"e": 5}\n')] == [dict, str]
    assert [type(value) for value in read('{"a": 1}\n{"b": NaN}\n{"c": 3}\n')] == [dict, str, dict]
    assert [type(value) for value in read("a: 1\n...\n---\nb: 2\n...\nc: [\n")] == [dict, dict, str]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", '{"a":', '[{"a":'])
def test_deep_nesting_is_refused(opening):
    """Without a crash, and at once."""
    (message,) = read(opening * 100_000)
    assert "nested" in message or "depth" in message or "did not find" in message or "expected" in message


def test_nesting_within_bounds_is_read():
    """Twice as deep as anything seen in the field."""
    assert read("a: " + "[" * 150 + "]" * 150)[0]["a"]
    assert read('{"a": ' + "[" * 150 + "]" * 150 + "}")[0]["a"]


def test_aliases_are_bounded():
    """The billion laughs are not told; ten thousand repetitions are."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    assert read(bomb) == [f"line 6: excessive aliasing: aliases add more than {ALIAS_LIMIT} values to the document"]
    (value,) = read("a: &a [x, y]\n" + "".join(f"b{i}: *a\n" for i in range(10_000)))
    assert len(value) == 10_001


def test_deep_aliases_are_refused():
    """A short text can nest deep by aliases alone."""
    text = "a0: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 300))
    assert read(text) == ["line 200: nested deeper than 200 levels"]


def test_duplicate_keys_keep_their_line():
    """The last value counts; where and what is told."""
    (document,) = documents("# c\nspec:\n  list:\n  - a: 1\n    a: 2\n  'b': 1\n  b: 2\n")
    assert document.value == {"spec": {"list": [{"a": 2}], "b": 2}}
    assert document.duplicates == {
        ("spec", "list", 0, "a"): 'line 5: key "a" already set in map',
        ("spec", "b"): 'line 7: key "b" already set in map',
    }


def test_duplicate_keys_in_json():
    """Found, too, though JSON's parser drops them."""
    (document,) = documents('{"a": {"b": 1, "c" : "\\"b\\":", "b": 2}, "d": "x\\":"}')
    assert document.value["a"]["b"] == 2
    assert document.duplicates == {(): 'already set in map: key "b"'}
    (document,) = documents('{"a" : {"b": 1}, "c": [{"b": 2}]}')
    assert document.duplicates == {}


def test_traps_are_told():
    """What looks like text and isn't, with its place; file modes are meant as they are read."""
    (document,) = documents("a: no\nb:\n- x\n- 0100\n- on: 1\ndefaultMode: 0644\nmode: 0444\nc: 'yes'\nd: !x 1\n")
    assert document.value["b"] == ["x", 64, {"true": 1}]
    assert document.traps == {
        ("a",): Trap(1, "YAML reads no as the boolean false"),
        ("b", 1): Trap(4, "YAML reads 0100 as an octal number, 64"),
        ("b", 2, "true"): Trap(5, "YAML reads the key on as the boolean true"),
        ("d",): Trap(9, "YAML's tag !x is ignored"),
    }


@given(JSON_VALUES)
def test_json_is_read_as_it_is(value):
    """By the JSON reader, and as YAML flow style (JSON is nearly a subset of YAML)."""
    document = {"value": value}
    assert read(json.dumps(document)) == [document]
    assert read(json.dumps(document, ensure_ascii=False, indent=1)) == [document]


@given(st.text() | st.text(alphabet="ab:-[]{}&*!|>'\"\\%@`#,?~\n \t0<=.", max_size=40) | st.binary())
def test_no_text_crashes(text):
    """Whatever comes in, every document is a value or a message."""
    for document in documents(text):
        assert (document.problem is None) or document.problem.message


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n---\n" * 50_000,
        '{"a": 1}\n' * 50_000,
        '{"a": NaN}\n' * 50_000,
        "a: |\n" + " x\n ---\n" * 100_000,
        "\n---x" * 200_000,
        '{"a": "' + '":' * 1_000_000 + '"}',
    ],
    ids=["documents", "lines", "broken lines", "indented dashes", "no separators", "broken at once"],
)
def test_long_texts_take_time_in_proportion(text):
    """Seconds; minutes if anything were done anew for each line."""
    start = time.perf_counter()
    assert sum(1 for _ in documents(text))
    assert time.perf_counter() - start < 60
