"""The options that say where the state is, and how several servers share it."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from etcd_server import EtcdServer
from serve_process import ServeProcess

from reconciler.apiserver.tls import Authority
from reconciler.cli.serve import serve
from state.store import StoreFullError, Tls

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--etcd-certfile", "a"], "--etcd-certfile and --etcd-keyfile are given together or not at all"),
        (["--leader-elect-lease-duration", "soon"], 'time: invalid duration "soon"'),
        (["--leader-elect-lease-duration", "5s"], "expected 0 < retry < renew_deadline < duration"),
        (["--leader-elect-retry-period", "0"], "expected 0 < retry < renew_deadline < duration"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(words, said):
    result = CliRunner().invoke(serve, words)
    assert result.exit_code == 2
    assert said in result.output


def test_etcd_is_spoken_to_over_tls(tmp_path):
    """With the options of kube-apiserver; the lease is as said."""
    now = time.time_ns() // 1000
    authority = Authority.create(now)
    authority.pair.save(tmp_path, "ca")
    authority.serving(["127.0.0.1"], now).save(tmp_path, "server")
    client = authority.client("kube-apiserver", [], now)
    client.save(tmp_path, "client")
    files = {"cert-file": "server.crt", "key-file": "server.key", "trusted-ca-file": "ca.crt"}
    words = [f"--{name}={tmp_path / file}" for name, file in files.items()]
    tls = Tls(authority.pem, client.certificate_pem, client.key_pem)
    files = {"cafile": "ca.crt", "certfile": "client.crt", "keyfile": "client.key"}
    options = [f"--etcd-{name}={tmp_path / file}" for name, file in files.items()]
    with (
        EtcdServer(tmp_path, "--client-cert-auth", *words, tls=tls) as etcd,
        ServeProcess(tmp_path, "--store", etcd.url, *options, "--leader-elect-lease-duration=20s") as server,
    ):
        server.wait(LEASES, lambda found: found["items"])
        (lease,) = server.call("GET", LEASES)[1]["items"]
        assert lease["metadata"]["name"] == "kube-controller-manager"
        assert lease["spec"]["leaseDurationSeconds"] == 20


def test_a_store_of_one_program_has_no_lease(tmp_path):
    """There is nobody to elect, and nothing to wait for."""
    with ServeProcess(tmp_path, "--store", f"sqlite:{tmp_path / 'state.db'}") as server:
        server.wait("/api/v1/namespaces/default/configmaps", lambda found: found["items"])
        assert server.call("GET", LEASES)[1]["items"] == []


def fill(store):
    """Writes slowly: the server looks at the size of its file, which follows ten times a second."""
    for number in range(500):
        store.create(f"/{number}", bytes(200_000))
        time.sleep(0.02)


def test_a_store_that_cannot_be_had_at_the_start_ends_the_program(tmp_path):
    """In one sentence."""

    def said() -> str:
        command = [sys.executable, "-m", "reconciler", "serve", "--http", "--port", "0", "--store", etcd.url]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stdout) == (1, "")
        return ended.stderr

    with EtcdServer(tmp_path, f"--quota-backend-bytes={1 << 20}") as etcd:
        with etcd.open() as store, pytest.raises(StoreFullError):
            fill(store)
        assert re.fullmatch("error: what every cluster has can't be stored: etcd at .*space exceeded.*\n", said())
        etcd.kill()
        assert re.fullmatch("error: etcd at .*\n", said())
