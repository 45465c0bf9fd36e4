"""Bodies in Kubernetes' protocol buffers."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apiserver.messages import messages
from reconciler.apiserver.protobuf import ProtobufError, as_json, to_json
from reconciler.apiserver.status import ApiError

PROTOBUF = "application/vnd.kubernetes.protobuf"


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & (2**64 - 1))
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _body(api_version: str, kind: str, raw: bytes) -> bytes:
    identity = _field(1, api_version.encode()) + _field(2, kind.encode())
    return b"k8s\x00" + _field(1, identity) + _field(2, raw) + _field(3, b"") + _field(4, b"")


def _read(api_version: str, kind: str, raw: bytes) -> object:
    return json.loads(to_json(_body(api_version, kind, raw)))


def test_a_secret() -> None:
    """Maps, bytes (as base64), booleans; empty metadata isn't told."""
    meta = _field(1, b"s") + _field(2, b"") + _field(3, b"") + _field(7, 0) + _field(8, b"")
    entry = _field(1, b"k") + _field(2, b"\xff\x00")
    assert _read("v1", "Secret", _field(1, meta) + _field(2, entry) + _field(3, b"Opaque") + _field(5, 1)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"k": base64.b64encode(b"\xff\x00").decode()},
        "type": "Opaque",
        "immutable": True,
    }


def test_numbers_quantities_and_parts_without_a_name() -> None:
    """A volume's source is part of the volume in JSON; numbers may be negative; ports may be names."""
    volume = _field(1, b"v") + _field(2, _field(2, _field(1, b"Memory") + _field(2, _field(1, b"1Gi"))))
    port = _field(1, 1) + _field(3, b"web")
    probe = _field(1, _field(2, _field(1, b"/") + _field(2, port))) + _field(2, -1)
    container = _field(1, b"c") + _field(10, probe)
    spec = _field(1, volume) + _field(2, container)
    assert _read("v1", "Pod", _field(2, spec)) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}],
            "containers": [
                {
                    "name": "c",
                    "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "initialDelaySeconds": -1},
                }
            ],
        },
    }


def test_times() -> None:
    """Whole seconds, and microseconds where the type has them."""
    moment = _field(1, 1_767_225_600) + _field(2, 5_000_000)
    raw = _field(2, _field(1, b"me") + _field(4, moment))
    assert _read("coordination.k8s.io/v1", "Lease", raw) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.005000Z"},
    }


def test_options_are_of_every_group() -> None:
    """DeleteOptions come in the group of what is deleted."""
    document = _read("apps/v1", "DeleteOptions", _field(1, 0) + _field(4, b"Foreground"))
    assert document == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"k8s\x00\xff",
        _body("v1", "Nothing", b""),
        _body("v1", "Pod", b"\x0a\xff\xff\xff\xff\x0f"),
        _body("v1", "Pod", _field(1, 5)),
        _body("v1", "Pod", _field(1, _field(1, b"\xff\xfe"))),
        _body("v1", "Pod", b"\x0b"),
    ],
)
def test_what_is_no_message_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        as_json(body, PROTOBUF)
    assert caught.value.code == 400


@given(st.sampled_from(["Pod", "Secret", "Service", "Node"]), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(kind: str, raw: bytes) -> None:
    with suppress(ProtobufError):
        assert json.loads(to_json(_body("v1", kind, raw)))["kind"] == kind


def test_the_table_is_whole() -> None:
    """Every message that a field names is there."""
    table = messages()
    special = {"IntOrString", "Quantity", "RawExtension", "bool", "bytes", "double", "int", "int64", "string"}
    special |= {f"meta.v1.{name}" for name in ("Duration", "FieldsV1", "MicroTime", "Time")}
    named = {field.type for fields in table.values() for field in fields.values()}
    assert named - special <= set(table)
