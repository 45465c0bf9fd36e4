"""Two servers on one etcd: how long it takes from the death of the one that leads until the other's controllers act."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, asynccontextmanager

import pytest
from api_client import running
from api_server import Server
from etcd_process import etcd

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods?limit=1"
LABELS = {"app": "web"}
DEPLOYMENT = {
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "web"}]}},
    },
}


@asynccontextmanager
async def connected(server):
    """A connection, and the time that it takes to end."""
    connection = await server.endpoint.connect()
    try:
        yield connection
    finally:
        connection.abort()
        await asyncio.sleep(0.05)


async def wait_for(server, path, check):
    """Asks until the answer is as wished."""
    async with connected(server) as connection:
        while not check(await connection.call("GET", path)):
            await asyncio.sleep(0.01)


async def create(server, path, body):
    """Stores an object."""
    async with connected(server) as connection:
        await connection.call("POST", path, body)


@pytest.mark.parametrize("terms", [(3, 2, 0.5), (15, 10, 2)], ids=["3s", "15s"])
def test_takeover(benchmark, smoke, tmp_path, terms):
    """With a short lease, and with that of kube-controller-manager; until a Deployment has its first pod."""
    lease, renew, retry = terms
    if smoke and lease > 3:
        pytest.skip("takes its time")
    words = [f"--leader-elect-lease-duration={lease}s", f"--leader-elect-renew-deadline={renew}s"]
    words.append(f"--leader-elect-retry-period={retry}s")
    stack, numbers = ExitStack(), iter(range(100))

    def start():
        """A new etcd with two servers, of which the first leads."""
        stack.close()
        folder = tmp_path / str(next(numbers))
        places = [folder / name for name in ("first", "second")]
        for place in places:
            place.mkdir(parents=True)
        url = stack.enter_context(etcd(folder))
        servers = []
        for place in places:
            servers.append(stack.enter_context(Server(place, "--store", url, *words)))
            run(wait_for(servers[0], LEASE, lambda found: found["spec"]["holderIdentity"]))
        time.sleep(retry)
        run(create(servers[1], DEPLOYMENTS, {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replicas": 0}}))
        return servers, {}

    def take_over(first, second):
        first.kill()
        run(create(second, DEPLOYMENTS, {**DEPLOYMENT, "metadata": {"name": "late"}}))
        run(wait_for(second, PODS, lambda found: found["items"]))

    with running() as run, stack:
        benchmark.pedantic(take_over, setup=start, rounds=1 if smoke else 3)
    benchmark.extra_info["takeover_s"] = round(benchmark.stats.stats.max, 2)
