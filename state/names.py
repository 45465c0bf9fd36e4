"""Which texts may serve as names, keys and values, in the words of Kubernetes' ``util/validation``.

Every check returns the messages of what is wrong, none if nothing is. Lengths count bytes, as they do there.
"""

from __future__ import annotations

import re
from functools import lru_cache

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
PORT_NAME_LENGTH = 15
#: Names recur: every Pod of a Deployment has the same labels. Checks of the same text are remembered.
_CACHE_SIZE = 65_536

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_MAP_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"

_ENDS = "and must start and end with an alphanumeric character"
_QUALIFIED_RULE = f"must consist of alphanumeric characters, '-', '_' or '.', {_ENDS}"
_PRINTABLE = re.compile(r"[ -<>-~]*")


def regex_message(rule: str, pattern: str, *examples: str) -> str:
    """Kubernetes' sentence for a text that a pattern doesn't match."""
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} ({f'e.g. {shown}' if examples else ''}regex used for validation is '{pattern}')"


def length_message(limit: int) -> str:
    """Kubernetes' sentence for a text that is too long."""
    return f"must be no more than {limit} characters"


def bytes_message(limit: int) -> str:
    """The same of labels and other qualified names, whose length is said in bytes."""
    return f"must be no more than {limit} bytes"


def range_message(low: int, high: int) -> str:
    """Kubernetes' sentence for a number out of bounds."""
    return f"must be between {low} and {high}, inclusive"


def dns1123_label(text: str) -> list[str]:
    """A DNS label (RFC 1123): the name of a container, a Namespace, a volume."""
    return list(_dns1123_label(text))


def dns1123_subdomain(text: str) -> list[str]:
    """A DNS subdomain (RFC 1123): the name of most objects."""
    return list(_dns1123_subdomain(text))


def dns1035_label(text: str) -> list[str]:
    """A DNS label that starts with a letter (RFC 1035): the name of a Service."""
    rule = (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        "character, and end with an alphanumeric character"
    )
    return _too_long(text, LABEL_LENGTH) + _unlike(text, _DNS1035_LABEL, rule, "my-name", "abc-123")


def qualified_name(text: str) -> list[str]:
    """A name with an optional DNS prefix (``example.com/name``): a label's key, a resource, a finalizer, a taint."""
    return list(_qualified_name(text))


def label_value(text: str) -> list[str]:
    """A label's value; it may be empty."""
    return list(_label_value(text))


def port_name(text: str) -> list[str]:
    """The name of a container's port, or a port named by a probe or a Service (RFC 6335, lower case only)."""
    problems = _too_long(text, PORT_NAME_LENGTH)
    if not re.fullmatch("[-a-z0-9]+", text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def port_number(number: int) -> list[str]:
    """A port's number."""
    return [] if 1 <= number <= 65535 else [range_message(1, 65535)]


def env_var_name(text: str) -> list[str]:
    """The name of an environment variable: printable ASCII without ``=``, as Kubernetes allows since 1.34."""
    if not text:
        return ["environment variable name must be non-empty"]
    if not _PRINTABLE.fullmatch(text):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def config_map_key(text: str) -> list[str]:
    """A key of a ConfigMap or a Secret; it becomes the name of a file."""
    rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    problems = _too_long(text, SUBDOMAIN_LENGTH)
    problems += _unlike(text, _CONFIG_MAP_KEY, rule, "key.name", "KEY_NAME", "key-name")
    return problems + _dots(text)


def http_header_name(text: str) -> list[str]:
    """The name of an HTTP header of a probe."""
    rule = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return _unlike(text, _HTTP_HEADER, rule, "X-Header-Name")


@lru_cache(_CACHE_SIZE)
def _dns1123_label(text: str) -> tuple[str, ...]:
    problems = _too_long(text, LABEL_LENGTH)
    rule = f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ENDS}"
    unlike = _unlike(text, _LABEL, rule, "my-name", "123-abc")
    if unlike and re.fullmatch(_SUBDOMAIN, text):
        unlike = ["must not contain dots"]
    return tuple(problems + unlike)


@lru_cache(_CACHE_SIZE)
def _dns1123_subdomain(text: str) -> tuple[str, ...]:
    rule = f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_ENDS}"
    return tuple(_too_long(text, SUBDOMAIN_LENGTH) + _unlike(text, _SUBDOMAIN, rule, "example.com"))


@lru_cache(_CACHE_SIZE)
def _qualified_name(text: str) -> tuple[str, ...]:
    examples = ("MyName", "my.name", "123-abc")
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        message = regex_message(f"a valid label key {_QUALIFIED_RULE}", _QUALIFIED, *examples)
        return (f"{message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        for message in _dns1123_subdomain(prefix):
            is_length = message == length_message(SUBDOMAIN_LENGTH)
            problems.append(f"prefix part {bytes_message(SUBDOMAIN_LENGTH) if is_length else message}")
    if not name:
        problems.append("name part must be non-empty")
    problems += [f"name part {message}" for message in _too_many_bytes(name)]
    problems += _unlike(name, _QUALIFIED, f"name part {_QUALIFIED_RULE}", *examples)
    return tuple(problems)


@lru_cache(_CACHE_SIZE)
def _label_value(text: str) -> tuple[str, ...]:
    rule = (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    problems = _too_many_bytes(text)
    return tuple(problems + _unlike(text, _LABEL_VALUE, rule, "MyValue", "my_value", "12345"))


def _too_long(text: str, limit: int) -> list[str]:
    # The first test spares almost every text the encoding.
    fits = len(text) * 4 <= limit or len(text.encode(errors="surrogatepass")) <= limit
    return [] if fits else [length_message(limit)]


def _too_many_bytes(text: str) -> list[str]:
    return [bytes_message(LABEL_LENGTH)] if _too_long(text, LABEL_LENGTH) else []


def _unlike(text: str, pattern: str, rule: str, *examples: str) -> list[str]:
    return [] if re.fullmatch(pattern, text) else [regex_message(rule, pattern, *examples)]


def _dots(text: str) -> list[str]:
    """What is wrong with a text that would step out of a directory as a file's name."""
    if text in {".", ".."}:
        return [f"must not be '{text}'"]
    return ["must not start with '..'"] if text.startswith("..") else []
