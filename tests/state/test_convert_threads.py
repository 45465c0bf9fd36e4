"""Manifests are converted by many threads of a server at once, the first of their kind included."""

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys, threading
from state.convert import PodSpecs, convert_fast
sys.setswitchinterval(1e-6)
manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 1}]}]}}
start, found = threading.Barrier(8), []
def convert():
    start.wait()
    found.extend(convert_fast(manifest, PodSpecs()) for _ in range(20))
threads = [threading.Thread(target=convert) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 160 and None not in found
"""


def test_the_first_of_a_kind_may_come_to_many_threads_at_once() -> None:
    """msgspec would crash if several threads had it look at a type for the first time."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], cwd=Path(__file__).parents[2], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
