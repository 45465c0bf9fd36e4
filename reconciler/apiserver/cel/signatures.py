"""Which arguments functions and operators take, and what comes of them, as cel-go and Kubernetes declare it.

A signature is ``target.(arguments)result``, without a target for what isn't a method. Capitals stand for any type. Of
functions that aren't here the arguments are looked at when they are called.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from reconciler.apiserver.cel.types import Type, read_type


class Signature(NamedTuple):
    """One overload; the target of a method is the first argument."""

    is_method: bool
    arguments: tuple[Type, ...]
    result: Type


_ORDERED = "bool int uint double string bytes timestamp duration"
_NUMBERS = ("int", "uint", "double")
_Q, _IP, _CIDR, _URL, _SEMVER = "kubernetes.Quantity", "net.IP", "net.CIDR", "kubernetes.URL", "kubernetes.Semver"
_FORMAT = "kubernetes.NamedFormat"
_FORMATS = (
    "dns1035Label dns1035LabelPrefix dns1123Label dns1123LabelPrefix dns1123Subdomain dns1123SubdomainPrefix "
    "labelValue qualifiedName uri uuid"
)
_TIMES = "getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getMonth"
_CLOCK = "getHours getMilliseconds getMinutes getSeconds"


def _relations() -> str:
    same = [f"({each},{each})bool" for each in _ORDERED.split()]
    mixed = [f"({one},{other})bool" for one in _NUMBERS for other in _NUMBERS if one != other]
    return " ".join([*same, *mixed])


def _arithmetic(kinds: str) -> str:
    return " ".join(f"({each},{each}){each}" for each in kinds.split())


_ADDED = (
    "(list<A>,list<A>)list<A> (timestamp,duration)timestamp (duration,timestamp)timestamp (duration,duration)duration"
)
_TAKEN = "(timestamp,timestamp)duration (timestamp,duration)timestamp (duration,duration)duration"
_COMPARED = " ".join(f"{each}.({each})bool" for each in (_Q, _SEMVER))
_TABLE: dict[str, str] = {
    "_==_": "(A,A)bool",
    "_!=_": "(A,A)bool",
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _relations()),
    "_+_": f"{_arithmetic('int uint double string bytes')} {_ADDED}",
    "_-_": f"{_arithmetic('int uint double')} {_TAKEN}",
    **dict.fromkeys(("_*_", "_/_"), _arithmetic("int uint double")),
    "_%_": _arithmetic("int uint"),
    "@in": "(A,list<A>)bool (A,map<A,B>)bool",
    "!_": "(bool)bool",
    "-_": "(int)int (double)double",
    "_?_:_": "(bool,A,A)A",
    "_[_]": "(list<A>,int)A (map<A,B>,A)B (opt<list<A>>,int)opt<A> (opt<map<A,B>>,A)opt<B>",
    "_[?_]": "(list<A>,int)opt<A> (map<A,B>,A)opt<B> (opt<list<A>>,int)opt<A> (opt<map<A,B>>,A)opt<B>",
    "add": f"{_Q}.({_Q}){_Q} {_Q}.(int){_Q}",
    "allowed": "kubernetes.authorization.Decision.()bool",
    "asApproximateFloat": f"{_Q}.()double",
    "asInteger": f"{_Q}.()int",
    "bool": "(bool)bool (string)bool",
    "bytes": "(bytes)bytes (string)bytes",
    "charAt": "string.(int)string",
    "cidr": f"(string){_CIDR}",
    "compareTo": f"{_Q}.({_Q})int {_SEMVER}.({_SEMVER})int",
    "contains": "string.(string)bool",
    "containsCIDR": f"{_CIDR}.({_CIDR})bool {_CIDR}.(string)bool",
    "containsIP": f"{_CIDR}.({_IP})bool {_CIDR}.(string)bool",
    "distinct": "list<A>.()list<A>",
    "double": "(double)double (int)double (uint)double (string)double",
    "duration": "(duration)duration (string)duration (int)duration",
    "dyn": "(A)dyn",
    "endsWith": "string.(string)bool",
    "errored": "kubernetes.authorization.Decision.()bool",
    "family": f"{_IP}.()int",
    "find": "string.(string)string",
    "findAll": "string.(string)list<string> string.(string,int)list<string>",
    "first": "list<A>.()opt<A>",
    "flatten": "list<list<A>>.()list<A> list<dyn>.(int)list<dyn>",
    **dict.fromkeys([f"format.{each}" for each in _FORMATS.split()], f"(){_FORMAT}"),
    "format.named": f"(string)opt<{_FORMAT}>",
    "format": "string.(list<dyn>)string",
    **dict.fromkeys(_TIMES.split(), "timestamp.()int timestamp.(string)int"),
    **dict.fromkeys(_CLOCK.split(), "timestamp.()int timestamp.(string)int duration.()int"),
    **dict.fromkeys(["getEscapedPath", "getHost", "getHostname", "getPort", "getScheme"], f"{_URL}.()string"),
    "getQuery": f"{_URL}.()map<string,list<string>>",
    "hasValue": "opt<A>.()bool",
    "indexOf": "string.(string)int string.(string,int)int list<A>.(A)int",
    "int": "(int)int (uint)int (double)int (string)int (timestamp)int (duration)int",
    "ip": f"(string){_IP} {_CIDR}.(){_IP}",
    "ip.isCanonical": "(string)bool",
    "isCIDR": "(string)bool",
    **dict.fromkeys(
        ["isGlobalUnicast", "isLinkLocalMulticast", "isLinkLocalUnicast", "isLoopback", "isUnspecified"],
        f"{_IP}.()bool",
    ),
    **dict.fromkeys(("isGreaterThan", "isLessThan"), _COMPARED),
    "isIP": "(string)bool",
    "isInteger": f"{_Q}.()bool",
    "isQuantity": "(string)bool",
    "isSemver": "(string)bool (string,bool)bool",
    "isSorted": " ".join(f"list<{each}>.()bool" for each in _ORDERED.split()),
    "isURL": "(string)bool",
    "join": "list<string>.()string list<string>.(string)string",
    "lastIndexOf": "string.(string)int string.(string,int)int list<A>.(A)int",
    "lists.range": "(int)list<int>",
    "lowerAscii": "string.()string",
    **dict.fromkeys(("major", "minor", "patch"), f"{_SEMVER}.()int"),
    "masked": f"{_CIDR}.(){_CIDR}",
    "last": "list<A>.()opt<A>",
    "matches": "string.(string)bool (string,string)bool",
    **dict.fromkeys(("max", "min"), " ".join(f"list<{each}>.(){each}" for each in _ORDERED.split())),
    "optional.none": "()opt<dyn>",
    "optional.of": "(A)opt<A>",
    "optional.ofNonZeroValue": "(A)opt<A>",
    "or": "opt<A>.(opt<A>)opt<A>",
    "orValue": "opt<A>.(A)A",
    "prefixLength": f"{_CIDR}.()int",
    "quantity": f"(string){_Q}",
    "reason": "kubernetes.authorization.Decision.()string",
    "replace": "string.(string,string)string string.(string,string,int)string",
    "reverse": "list<A>.()list<A>",
    "semver": f"(string){_SEMVER} (string,bool){_SEMVER}",
    **dict.fromkeys(("sets.contains", "sets.equivalent", "sets.intersects"), "(list<A>,list<A>)bool"),
    "sign": f"({_Q})int",
    "size": " ".join(
        f"{form.format(each)}int" for each in ("string", "bytes", "list<A>", "map<A,B>") for form in ("({})", "{}.()")
    ),
    "split": "string.(string)list<string> string.(string,int)list<string>",
    "slice": "list<A>.(int,int)list<A>",
    "sort": "list<A>.()list<A>",
    "startsWith": "string.(string)bool",
    "string": " ".join(f"({each})string" for each in (*_ORDERED.split(), _IP, _CIDR)),
    "sub": f"{_Q}.({_Q}){_Q} {_Q}.(int){_Q}",
    "strings.quote": "(string)string",
    "substring": "string.(int)string string.(int,int)string",
    "sum": " ".join(f"list<{each}>.(){each}" for each in ("int", "uint", "double", "duration")),
    "timestamp": "(timestamp)timestamp (string)timestamp (int)timestamp",
    "trim": "string.()string",
    "type": "(A)type",
    "uint": "(uint)uint (int)uint (double)uint (string)uint",
    "upperAscii": "string.()string",
    "url": f"(string){_URL}",
    "validate": f"{_FORMAT}.(string)opt<list<string>>",
    "value": "opt<A>.()A",
}


@cache
def signatures(name: str) -> tuple[Signature, ...]:
    """The overloads of a function, none if they aren't known."""
    return tuple(map(_signature, _TABLE.get(name, "").split()))


def _signature(text: str) -> Signature:
    head, _, rest = text.partition("(")
    inner, _, result = rest.rpartition(")")
    # the types in a list of arguments are those of a type that has them for its parameters
    arguments = read_type(f"list<{inner}>").of if inner else ()
    target = (read_type(head.removesuffix(".")),) if head else ()
    return Signature(bool(head), (*target, *arguments), read_type(result))
