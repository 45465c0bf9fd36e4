"""The order of the ports of Endpoints and EndpointSlices: by the MD5 hash of each port as Go's spew prints the struct.

It means nothing, but clients see it: both controllers sort ports so (``portsByHash`` in pkg/api/v1/endpoints,
``portsInOrder`` in k8s.io/endpointslice).
"""

from __future__ import annotations

from hashlib import md5

from state.objects import EndpointPort, EndpointSlicePort

_NIL = "<nil>"


def endpoints_order(port: EndpointPort) -> str:
    """What ports of Endpoints are sorted by."""
    return _hash(
        f"(v1.EndpointPort){{Name:(string){port.name or ''} Port:(int32){port.port} "
        f"Protocol:(v1.Protocol){port.protocol or ''} AppProtocol:(*string){_text(port.app_protocol)}}}"
    )


def slice_order(port: EndpointSlicePort) -> str:
    """What ports of an EndpointSlice are sorted by."""
    return _hash(
        f"(v1.EndpointPort){{Name:(*string){_text(port.name)} Protocol:(*v1.Protocol){_text(port.protocol)} "
        f"Port:(*int32){_NIL if port.port is None else port.port} AppProtocol:(*string){_text(port.app_protocol)}}}"
    )


def _text(value: str | None) -> str:
    return _NIL if value is None else value


def _hash(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
