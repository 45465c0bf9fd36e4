"""Finds a store by its URL. A new kind of store is one line here, or one entry point of another distribution::

    [project.entry-points."reconciler.stores"]
    redis = "my_package.store:open_url"

What is named is called with all that follows the scheme, and with the options of ``open_store`` (``tls`` only where it
is wanted). Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from state.store.base import Store
from state.store.records import StoreError, Tls

GROUP = "reconciler.stores"

#: By scheme: the form of the URL, and who opens it.
SCHEMES = {
    "etcd": ("etcd://HOST:PORT[,…]", "state.store.etcd:EtcdStore.at"),
    "memory": ("memory:", "state.store.memory:MemoryStore.at"),
    "sqlite": ("sqlite:PATH", "state.store.sqlite:SqliteStore"),
}

_LOCAL = ("memory", "sqlite")


def open_store(url: str, *, keep: int = 0, tls: Tls | None = None) -> Store:
    """The store at a URL: ``memory:``, ``sqlite:PATH`` or ``etcd://HOST:PORT[,…]``.

    Args:
        url: which kind of store, and where.
        keep: how many revisions of history the store keeps by itself, at least; older ones are compacted from time to
            time. 0 leaves that to whoever calls ``compact``.
        tls: how to speak to a store over the network; None means without encryption.

    Raises:
        StoreError: there is no such kind of store, the place makes no sense, or what it needs isn't installed.
        StoreUnavailableError: the store can't be opened.
    """
    scheme, colon, place = url.partition(":")
    if colon and scheme in SCHEMES:
        path = SCHEMES[scheme][1]
    else:
        found = sorted({point.value for point in entry_points(group=GROUP) if colon and point.name == scheme})
        if not found:
            raise StoreError(f"{url!r} names no store; expected {known()}")
        if len(found) > 1:
            raise StoreError(f"{url!r} is ambiguous: {', '.join(found)}")
        path = found[0]
    if tls is None:
        return _opener(url, path)(place, keep=keep)
    if scheme in _LOCAL:
        raise StoreError(f"{url!r} is not spoken to over the network; TLS makes no sense there")
    return _opener(url, path)(place, keep=keep, tls=tls)


def known() -> str:
    """The forms of URL that there are, as a sentence lists them."""
    others = {point.name: f"{point.name}:…" for point in entry_points(group=GROUP)}
    forms = others | {scheme: form for scheme, (form, _) in SCHEMES.items()}
    *most, last = [forms[scheme] for scheme in sorted(forms)]
    return f"{', '.join(most)} or {last}"


def _opener(url: str, path: str) -> Callable[..., Store]:
    module, _, attributes = path.partition(":")
    try:
        found: object = import_module(module)
    except ImportError as error:
        raise StoreError(f"{url!r} needs {error.name}, which is not installed ({error})") from error
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    return cast("Callable[..., Store]", found)
