"""Uids and generated names that look like Kubernetes' and are functions of the state, not of chance."""

from __future__ import annotations

from hashlib import blake2b

#: The letters of Kubernetes' generated name suffixes: no vowels, no look-alikes, so no words come out.
SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
#: Longest base that leaves room for the suffix within a 63-character name (as names.SimpleNameGenerator).
_MAX_BASE_LENGTH = 63 - _SUFFIX_LENGTH


def make_uid(key: object, revision: int) -> str:
    """The uid of an object that is created with this key at this revision: a UUID's form, the same every time."""
    digest = blake2b(f"{key}@{revision}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"


def name_suffix(seed: str) -> str:
    """Five letters that depend on nothing but the seed."""
    number = int.from_bytes(blake2b(seed.encode(), digest_size=4).digest())
    letters = []
    for _ in range(_SUFFIX_LENGTH):
        number, index = divmod(number, len(SAFE_LETTERS))
        letters.append(SAFE_LETTERS[index])
    return "".join(letters)


def generated_name(base: str, seed: str) -> str:
    """``generateName`` plus a suffix; a long base is cut as the API server cuts it."""
    return base[:_MAX_BASE_LENGTH] + name_suffix(seed)


def is_generated(name: str, base: str) -> bool:
    """Whether a name looks like one that was generated from a base."""
    start = base[:_MAX_BASE_LENGTH]
    return name.startswith(start) and len(name) == len(start) + _SUFFIX_LENGTH
