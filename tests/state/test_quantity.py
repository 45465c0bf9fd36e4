"""Quantities: Kubernetes' own cases, and laws that hold for all of them."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from state import quantity
from state.quantity import (
    INT64_MAX,
    Amount,
    Format,
    QuantityError,
    add,
    canonical,
    compare,
    format_binary,
    format_decimal,
    milli,
    parse,
    value,
)

DATA = Path(__file__).parent / "data"
CASES = json.loads((DATA / "quantities.json").read_text())
REFUSED = json.loads((DATA / "quantities-refused.json").read_text())

RECORDED = Path(__file__).parents[1] / "golden" / "controllers" / "api-quantities.json"

DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

digits = st.text("0123456789", min_size=1, max_size=22)
numbers = st.one_of(
    digits, st.builds("{}.{}".format, digits, digits), st.builds(".{}".format, digits), st.builds("{}.".format, digits)
)
exponents = st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 40))
suffixes = st.one_of(st.sampled_from([*DECIMAL, *BINARY]), exponents)
texts = st.builds("{}{}{}".format, st.sampled_from(["", "", "-", "+"]), numbers, suffixes)


def oracle(text: str) -> Fraction:
    """The amount by the book, with rational numbers: rounded up to a billionth and, if binary, capped."""
    for suffix, exponent in BINARY.items():
        if text.endswith(suffix):
            exact = _number(text.removesuffix(suffix)) * 2**exponent
            return max(-Fraction(2**63 - 1), min(_nano(exact), Fraction(2**63 - 1)))
    mark = next((place for place, char in enumerate(text) if char in "eE" and place < len(text) - 1), None)
    if mark is not None:
        return _nano(_number(text[:mark]) * Fraction(10) ** int(text[mark + 1 :]))
    suffix = text[-1] if text[-1] in DECIMAL else ""
    return _nano(_number(text.removesuffix(suffix)) * Fraction(10) ** DECIMAL[suffix])


def _number(text: str) -> Fraction:
    return Fraction(f"{text}0" if text.endswith(".") else text)


def _nano(exact: Fraction) -> Fraction:
    nanos = -(-abs(exact) * 10**9 // 1)
    return Fraction(nanos if exact >= 0 else -nanos, 10**9)


def _amount(text: str) -> Fraction:
    return Fraction(parse(text).nanos, 10**9)


def len_or_type(found: str | int) -> str:
    return found[:10] if isinstance(found, str) else f"{found.bit_length()} bits"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_kubernetes_cases(case):
    """Printing and both roundings are Kubernetes'."""
    found = {"canonical": canonical(case["text"]), "value": value(case["text"]), "milli": milli(case["text"])}
    assert found == {key: case[key] for key in found}


@pytest.mark.parametrize(("message", "found"), [(m, found) for m, all_ in REFUSED.items() for found in all_])
def test_what_is_no_quantity_is_refused_in_kubernetes_words(message, found):
    for read in (parse, milli, value, canonical):
        with pytest.raises(QuantityError) as caught:
            read(found)
        assert (caught.value.message, caught.value.found) == (message, found)


def test_a_real_api_server_refuses_the_same():
    """Every Pod that it would not even decode has a quantity that isn't one here, with the same words."""
    recording = json.loads(RECORDED.read_text())
    for index, response in recording["expected"]["responses"].items():
        resources = recording["steps"][int(index)]["body"]["spec"]["containers"][0]["resources"]
        refusals = []
        for found in [found for part in resources.values() for found in part.values()]:
            try:
                parse(found)
            except QuantityError as error:
                refusals.append(error.message)
        assert bool(refusals) == (response["code"] == 400)
        assert all(message in response["status"]["message"] for message in refusals)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_are_refused(number):
    with pytest.raises(QuantityError, match="must match"):
        parse(number)


@pytest.mark.parametrize(
    "found", ["1" * 1001, 10**1100, 10**20_000, "1e1001", "1e99999999999999999999"], ids=len_or_type
)
def test_what_would_take_memory_without_bound_is_refused(found):
    with pytest.raises(QuantityError, match="must be no more than 1000"):
        parse(found)


@pytest.mark.parametrize("found", ["9" * 1000, "1e1000", 10**999], ids=len_or_type)
def test_large_numbers_below_the_bound_are_exact(found):
    assert parse(found).nanos == int(Fraction(found)) * 10**9


def test_the_error_shows_what_was_found():
    with pytest.raises(QuantityError, match=r"""^"1K": unable to parse quantity's suffix$"""):
        parse("1K")


@given(texts)
@example("8Ei")
@example("9223372036854775807Ki")
@example("0.0000000001Ei")
def test_amounts_agree_with_rational_numbers(text):
    exact = oracle(text)
    assert _amount(text) == exact
    bounds = range(-(2**63), 2**63)
    for rounded, scale in ((value(text), 1), (milli(text), 1000)):
        up = -(-abs(exact) * scale // 1) * (1 if exact >= 0 else -1)
        assert rounded == max(bounds[0], min(up, bounds[-1]))


@given(texts)
@example("1.250")
@example("5.")
@example("1000E")
@example("1234567890123456789.5")
def test_printing_keeps_the_amount_and_is_stable(text):
    printed = canonical(text)
    assert _amount(printed) == _amount(text)
    assert canonical(printed) == printed


@given(texts)
def test_the_computed_form_has_no_fraction_and_the_largest_suffix(text):
    amount = parse(text)
    printed = str(amount)
    assert "." not in printed
    assert parse(printed) == amount
    assert canonical(printed) == str(parse(printed)) == printed


@given(texts, texts)
def test_order_agrees_with_rational_numbers(left, right):
    a, b = oracle(left), oracle(right)
    assert compare(left, right) == (a > b) - (a < b) == -compare(right, left)
    assert (parse(left) < parse(right)) == (a < b)


@given(texts, texts)
@example("7Ei", "7Ei")
def test_sums_are_exact(left, right):
    """Only the text of a binary sum beyond 64 bits is cut when it is read again, as Kubernetes does."""
    total = parse(left) + parse(right)
    assert Fraction(total.nanos, 10**9) == _amount(left) + _amount(right)
    assert (parse(left) - parse(right)).nanos == parse(left).nanos - parse(right).nanos
    assert add(left, right) == str(total)
    capped = total.format is Format.BINARY_SI and abs(total.value()) > INT64_MAX - 1
    assert capped or parse(str(total)) == total


@given(st.integers(-(10**30), 10**30))
def test_an_integer_is_its_text(number):
    assert parse(number) == parse(str(number))
    assert canonical(number) == canonical(str(number))


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
@example(1e21)
@example(1e-6)
@example(9.999999e-7)
@example(-0.0)
def test_a_float_is_its_shortest_decimal_form(number):
    assert _amount(number) == _nano(Fraction(repr(number)))


@given(st.one_of(st.text(max_size=8), st.text("0123456789.eEinumkKMGTP+- ", max_size=8)))
def test_any_text_is_read_or_refused(text):
    """Nothing but ``QuantityError`` comes out of arbitrary text."""
    try:
        amount = parse(text)
    except QuantityError:
        return
    assert isinstance(amount.nanos, int)


def test_true_and_one_do_not_share_a_cache_slot():
    """In Python True == 1 == 1.0; here True is no quantity, whatever was asked before."""
    assert milli(1) == milli(1.0) == 1000
    for read in (parse, milli, value, canonical):
        read(1)
        with pytest.raises(QuantityError):
            read(True)


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        ("100m", "200m", "300m"),
        ("1Gi", "1G", "2073741824"),
        ("512Mi", "512Mi", "1Gi"),
        ("0", "1Gi", "1Gi"),
        ("1Gi", "0", "1Gi"),
        ("0", "5e3", "5e3"),
        ("1Gi", "-1Gi", "0"),
        ("1Ki", "1m", "1024001m"),
        (1, 0.5, "1500m"),
    ],
)
def test_a_sum_keeps_the_suffixes_of_its_first_part(left, right, total):
    assert add(left, right) == total


@pytest.mark.parametrize(
    ("units", "text"), [(0, "0"), (512, "512"), (1024, "1Ki"), (1536, "1536"), (2**30, "1Gi"), (2**63, "8Ei")]
)
def test_bytes_are_printed_with_a_binary_suffix(units, text):
    assert format_binary(units) == text


@pytest.mark.parametrize(("millis", "text"), [(0, "0"), (250, "250m"), (1000, "1"), (1500, "1500m"), (-1500, "-1500m")])
def test_thousandths_are_printed_with_a_decimal_suffix(millis, text):
    assert format_decimal(millis) == text


def test_amounts_are_equal_whatever_their_format():
    assert parse("1024") == parse("1Ki") == Amount(1024 * 10**9)
    assert [parse(text).format for text in ("1", "1Ki", "1e0", "0.1n")] == [
        Format.DECIMAL_SI,
        Format.BINARY_SI,
        Format.DECIMAL_EXPONENT,
        Format.DECIMAL_SI,
    ]


def test_what_was_read_is_remembered():
    """The memo is bounded, so that a stream of different texts takes no memory without bound."""
    assert quantity._parse.cache_info().maxsize is not None
    assert parse("123456789m") is parse("123456789m")
