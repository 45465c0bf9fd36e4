"""Sends a folder of manifests through load, validation, reconcile and simulation, file by file, and counts the results.

Run as a program (``python tests/corpus_run.py FOLDER``) it prints one line of JSON: the counts, and a digest of every
plan and of every simulated history, so that two runs can be compared byte by byte.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import orjson

from reconciler import reconcile
from reconciler.check import check_loaded
from reconciler.simulation import Simulation
from rules.actions import Action
from state.load import load
from state.times import MINUTE

#: A cluster with room for nearly everything that people publish.
NODES = "3x32cpu,128Gi,3zones,nvidia.com/gpu=8"
NOW = "2026-01-01T00:00:00Z"
#: Long enough for every pod to start, short enough for those that probe and crash for ever.
SPAN = 2 * MINUTE


def files_of(folder: Path) -> list[str]:
    """The manifests that the folder's index lists, in its order."""
    index = json.loads((folder / "INDEX.json").read_text())
    return [entry["file"] for entry in index["entries"]]


def run_file(text: bytes, counts: Counter[str]) -> tuple[bytes, bytes]:
    """One file's plan and simulated history, as bytes; the counts go up."""
    loaded = load(text)
    found = check_loaded(loaded)
    plan = reconcile(loaded.objects, nodes=NODES, now=NOW, on_invalid="skip")
    run = Simulation(loaded.objects, nodes=NODES, now=NOW, on_invalid="skip")
    run.run_until(run.now + SPAN)
    counts["files"] += 1
    counts["objects"] += found["objects"]
    counts["objects refused when read"] += len(loaded.refused)
    counts["objects refused by validation"] += len(plan.refused)
    counts["objects of kinds only carried"] += len(found["carried"])
    counts["actions planned"] += len(plan.actions)
    counts["notes"] += len(plan.notes)
    counts["actions simulated"] += sum(isinstance(item, Action) for _, item in run.timeline)
    pods = run.snapshot.objects("Pod")
    counts["pods simulated"] += len(pods)
    counts["pods without a node"] += sum(not getattr(getattr(pod, "spec", None), "node_name", None) for pod in pods)
    counts["clusters at rest"] += run.settled
    history: list[Any] = [(at, item.to_dict()) for at, item in run.timeline]
    return plan.to_json(objects=True), orjson.dumps(history, option=orjson.OPT_SORT_KEYS)


def run_all(folder: Path) -> tuple[Counter[str], dict[str, str]]:
    """The counts over all files, and for each file a digest of its plan and history.

    Raises:
        RuntimeError: a file that can't be taken; the cause is chained.
    """
    counts: Counter[str] = Counter()
    digests = {}
    for name in files_of(folder):
        try:
            plan, history = run_file((folder / name).read_bytes(), counts)
        except Exception as error:
            raise RuntimeError(name) from error
        digests[name] = blake2b(plan + history, digest_size=16).hexdigest()
    return counts, digests


def main() -> None:
    """Prints the counts and digests."""
    counts, digests = run_all(Path(sys.argv[1]))
    sys.stdout.write(json.dumps({"counts": counts, "digests": digests}) + "\n")


if __name__ == "__main__":
    main()
