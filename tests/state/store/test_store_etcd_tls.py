"""The store in an etcd that encrypts, and wants to know who is speaking."""

from __future__ import annotations

import time

import grpc
import pytest
from etcd_server import EtcdServer

from reconciler.apiserver.tls import Authority
from state.store import StoreError, StoreUnavailableError, Tls, open_store

NOW = time.time_ns() // 1000


@pytest.fixture(scope="module")
def authority():
    return Authority.create(NOW)


def speaking(authority, name):
    pair = authority.client(name, [], NOW)
    return Tls(authority.pem, pair.certificate_pem, pair.key_pem)


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    """It lets in whoever the authority knows."""
    folder = tmp_path_factory.mktemp("etcd")
    authority.pair.save(folder, "ca")
    authority.serving(["127.0.0.1"], NOW).save(folder, "server")
    options = {"cert-file": "server.crt", "key-file": "server.key", "trusted-ca-file": "ca.crt"}
    words = [f"--{name}={folder / file}" for name, file in options.items()]
    with EtcdServer(folder, "--client-cert-auth", *words, tls=speaking(authority, "root")) as server:
        yield server


def test_with_certificates_it_is_a_store_as_any(server):
    with server.open() as store, store.watch("/", store.revision()) as watch:
        entry = store.create("/a", b"1")
        assert store.get("/a") == entry
        assert [event.key for event in watch.read(10)] == ["/a"]


def test_who_is_not_trusted_is_not_spoken_to(server, authority):
    stranger = Authority.create(NOW)
    known = speaking(authority, "root")
    pair = stranger.client("root", [], NOW)
    for tls in (
        None,
        Tls(authority.pem),
        Tls(authority.pem, pair.certificate_pem, pair.key_pem),
        Tls(stranger.pem, known.certificate, known.key),
        Tls(b"no certificate"),
        Tls(authority.pem, b"no certificate", b"no key"),
    ):
        with pytest.raises(StoreUnavailableError, match="etcd at "):
            open_store(server.url, tls=tls)


def test_what_etcd_does_not_permit_is_refused_in_its_words(server, authority):
    """With roles in etcd, a certificate's common name is the user."""
    from aetcd import rpc

    known = speaking(authority, "root")
    credentials = grpc.ssl_channel_credentials(known.authority, known.key, known.certificate)
    with grpc.secure_channel(server.url.removeprefix("etcd://"), credentials) as channel:
        auth = rpc.AuthStub(channel)
        for name in ("root", "nobody"):
            auth.UserAdd(rpc.AuthUserAddRequest(name=name, options=rpc.UserAddOptions(no_password=True)))
        auth.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
        auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
        auth.AuthEnable(rpc.AuthEnableRequest())
        try:
            with open_store(server.url, tls=known) as store:
                store.create("/b", b"")
            with pytest.raises(StoreUnavailableError, match="permission denied"):
                open_store(server.url, tls=speaking(authority, "nobody"))
        finally:
            auth.AuthDisable(rpc.AuthDisableRequest())


@pytest.mark.parametrize("url", ["memory:", "sqlite:state.db"])
def test_a_store_that_nobody_speaks_to_has_no_use_for_certificates(url):
    with pytest.raises(StoreError, match="TLS makes no sense"):
        open_store(url, tls=Tls(b""))
