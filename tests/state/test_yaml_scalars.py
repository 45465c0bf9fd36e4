"""Unquoted text in YAML means what it means to kubectl."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from state.yaml_scalars import needs_quotes, resolve, trap


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("nUll", "nUll"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("N", False),
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("0644", 420),
        ("0o644", 420),
        ("08", 8),
        ("0x1F", 31),
        ("0b101", 5),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1e3", 1000),
        ("1.0", 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e25", 1e25),
        ("-1.5e-3", -0.0015),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 18446744073709551616),
        ("-9223372036854775809", -9223372036854775808),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        # Text, whatever YAML 1.1 says.
        ("22:22", "22:22"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("=", "="),
        ("<<", "<<"),
        ("-", "-"),
        (".", "."),
        ("0x", "0x"),
        ("1e", "1e"),
        ("1e999", "1e999"),
        ("_1", "_1"),
        ("100m", "100m"),
        ("1.2.3", "1.2.3"),
        ("9" * 5000, "9" * 5000),
        ("١٢", "١٢"),
    ],
)
def test_resolve(text, value):
    """As go-yaml v2 resolves it, and sigs.k8s.io/yaml then turns whole floats into integers."""
    resolved = resolve(text)
    assert resolved == value
    assert isinstance(resolved, bool) == isinstance(value, bool)


def test_nan_is_nan():
    """``.nan`` is read, for the reader to refuse."""
    assert math.isnan(resolve(".NaN"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no", "YAML reads no as the boolean false"),
        ("Y", "YAML reads Y as the boolean true"),
        ("0100", "YAML reads 0100 as an octal number, 64"),
        ("1_000", "YAML reads 1_000 as the number 1000"),
        ("true", None),
        ("0", None),
        ("100", None),
        ("0.5", None),
        ("nope", None),
    ],
)
def test_trap(text, why):
    """Only readings that surprise are traps."""
    assert trap(text) == why


@given(st.text(alphabet="0123456789abefinoxyENOTXY+-._:~=<", max_size=8))
def test_text_without_quotes_is_text_to_everybody(text):
    """What may stay unquoted is text for kubectl and for PyYAML's YAML 1.1."""
    if not needs_quotes(text):
        assert resolve(text) == text
        tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))
        assert tag == "tag:yaml.org,2002:str"
