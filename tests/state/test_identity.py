"""Uids and generated names look like Kubernetes' and depend on nothing but their arguments."""

from __future__ import annotations

import re
import uuid

from hypothesis import given
from hypothesis import strategies as st

from state.identity import SAFE_LETTERS, generated_name, make_uid, name_suffix
from state.snapshot import Key


@given(st.text(), st.integers(0, 10**9))
def test_a_uid_is_a_random_uuid_in_form(text, revision):
    made = make_uid(Key("Pod", "default", text), revision)
    assert str(uuid.UUID(made)) == made
    assert uuid.UUID(made).version == 4
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert made == make_uid(Key("Pod", "default", text), revision)


def test_uids_differ_by_key_and_revision():
    keys = [Key("Pod", namespace, name) for namespace in ("a", "b") for name in ("x", "y")]
    assert len({make_uid(key, revision) for key in keys for revision in range(100)}) == 400


@given(st.text())
def test_a_suffix_has_five_safe_letters(seed):
    assert re.fullmatch(f"[{SAFE_LETTERS}]{{5}}", name_suffix(seed))


def test_suffixes_are_well_spread():
    assert len({name_suffix(str(number)) for number in range(10_000)}) > 9_990


def test_a_long_base_is_cut_as_the_api_server_cuts_it():
    assert len(generated_name("x" * 100, "seed")) == 63
    assert generated_name("web-", "seed") == "web-" + name_suffix("seed")
