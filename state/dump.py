"""Gives objects out: as plain dicts, JSON and YAML. Whatever ``state.load`` took in comes out again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import orjson
import yaml

from state.objects import AnyObject, CustomObject, Object, PersistentVolumeClaim, StatefulSet, encode_hook
from state.yaml_scalars import needs_quotes

_ENCODER = msgspec.json.Encoder(enc_hook=encode_hook)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
#: No line is folded, however long.
_WIDTH = 2**31 - 1


def dump(obj: AnyObject) -> dict[str, Any]:
    """The object as a new plain dict: ``apiVersion``, ``kind``, ``metadata``, then the rest by name.

    Fields at their default are left out, as the API server leaves them out; ``metadata`` is always there.
    """
    fields = orjson.loads(_ENCODER.encode(obj))
    metadata = fields.pop("metadata", {})
    if isinstance(obj, CustomObject):
        fields = fields.get("body", {})
    elif isinstance(obj, StatefulSet):
        _name_kind_of_templates(fields)
    return {"apiVersion": obj.api_version, "kind": obj.kind, "metadata": metadata, **fields}


def dump_json(source: AnyObject | Iterable[AnyObject]) -> bytes:
    """One object, or a v1 List of several, as JSON without spaces. Keys are sorted, as kubectl sorts them."""
    if isinstance(source, Object | CustomObject):
        return orjson.dumps(dump(source), option=orjson.OPT_SORT_KEYS)
    items = b",".join(map(dump_json, source))
    return b'{"apiVersion":"v1","items":[' + items + b'],"kind":"List","metadata":{"resourceVersion":""}}'


def dump_yaml(source: AnyObject | Iterable[AnyObject]) -> str:
    """Objects as YAML documents in kubectl's form: keys sorted, text in quotes where it could be taken for more."""
    objects = [source] if isinstance(source, Object | CustomObject) else source
    text: str = yaml.emit(_stream(map(dump, objects)), Dumper=_Dumper, width=_WIDTH, allow_unicode=True)
    return text


def _name_kind_of_templates(fields: dict[str, Any]) -> None:
    """Claim templates are objects within an object; the API server gives them their kind, whoever wrote them."""
    spec = fields.get("spec", {})
    templates = spec.get("volumeClaimTemplates")
    if templates:
        claim = {"apiVersion": PersistentVolumeClaim.api_version, "kind": PersistentVolumeClaim.kind}
        spec["volumeClaimTemplates"] = [{**claim, **template} for template in templates]


def _stream(documents: Iterable[dict[str, Any]]) -> Iterator[yaml.Event]:
    yield yaml.StreamStartEvent()
    for index, document in enumerate(documents):
        yield yaml.DocumentStartEvent(explicit=index > 0)
        yield from _events(document)
        yield yaml.DocumentEndEvent(explicit=False)
    yield yaml.StreamEndEvent()


def _events(value: Any) -> Iterator[yaml.Event]:
    """What YAML's emitter is to write for a value. There are no anchors, so nothing comes out as an alias."""
    if isinstance(value, dict):
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=not value)
        for key in sorted(value):
            yield _text(key)
            yield from _events(value[key])
        yield yaml.MappingEndEvent()
    elif isinstance(value, list):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=not value)
        for item in value:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    elif isinstance(value, str):
        yield _text(value)
    else:
        yield yaml.ScalarEvent(None, None, (True, False), _number(value) if isinstance(value, float) else _word(value))


def _text(text: str) -> yaml.ScalarEvent:
    """A scalar that is read as text again: in a block if it has lines, in quotes if it looks like something else."""
    if "\n" in text:
        return yaml.ScalarEvent(None, None, (False, True), text, style="|")
    if needs_quotes(text):
        return yaml.ScalarEvent(None, None, (False, True), text, style='"')
    return yaml.ScalarEvent(None, None, (True, True), text)


def _word(value: bool | int | None) -> str:
    return "null" if value is None else str(value).lower()


def _number(value: float) -> str:
    """With a point, without which YAML 1.1 takes ``1e+25`` for text."""
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")
