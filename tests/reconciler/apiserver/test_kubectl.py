"""Real kubectl against the server, over TLS, with the kubeconfig that the server writes: examples/kubectl.sh."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.store.memory import MemoryStore
from tests.reconciler.apiserver.hollow import cluster

#: The oldest kubectl that knows every command of the script.
_OLDEST = (1, 32)


def _missing() -> str:
    """Why kubectl can't be run, "" if it can."""
    if shutil.which("kubectl") is None:
        return "kubectl is not installed (Debian: kubernetes-client)"
    command = ["kubectl", "version", "--client", "--output=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    version = json.loads(done.stdout)["clientVersion"]
    found = int(version["major"]), int(re.sub(r"\D.*", "", version["minor"]))
    return "" if found >= _OLDEST else f"kubectl is too old: {version['gitVersion']}"


_WHY_NOT = _missing()
pytestmark = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)
SCRIPT = Path(__file__).parents[3] / "examples" / "kubectl.sh"
_LIST = re.search(r"^sections=\((.*)\)$", SCRIPT.read_text(), re.MULTILINE)
assert _LIST is not None
SECTIONS = _LIST[1].split()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What kubectl needs to find the server."""
    folder = tmp_path_factory.mktemp("kubectl")
    with MemoryStore() as store, cluster(folder, store) as config:
        yield {**os.environ, "KUBECONFIG": str(config), "HOME": str(folder), "TMPDIR": str(folder)}


@pytest.mark.parametrize("section", SECTIONS)
def test_what_people_do(environment: dict[str, str], section: str) -> None:
    """Every command of a section does and prints what the script says."""
    done = subprocess.run(
        [SCRIPT, section],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    assert done.stdout.count("$ kubectl") > 10
