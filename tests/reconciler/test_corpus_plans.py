"""Manifests that real projects publish: planned and simulated without a failure, and the same bytes every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CORPUS = TESTS.parent / ".." / "shared" / "manifests"
if not (CORPUS / "INDEX.json").is_file():
    pytest.skip("the collection of published manifests is not beside this checkout", allow_module_level=True)


@pytest.fixture(scope="module")
def runs():
    """The whole collection, once under each of two hash seeds, at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(TESTS / "corpus_run.py"), str(CORPUS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "4711")
    ]
    answers = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return [json.loads(answer) for answer in answers]


def test_every_file_is_planned_and_simulated(runs, capsys):
    """No file fails; each is accounted for. The counts are printed."""
    counts, digests = runs[0]["counts"], runs[0]["digests"]
    index = json.loads((CORPUS / "INDEX.json").read_text())
    with capsys.disabled():
        print(f"\n{', '.join(f'{name} {count}' for name, count in counts.items())}")
    assert counts["files"] == len(digests) == index["files"]
    assert counts["objects"] >= index["documents"]
    refused = counts["objects refused when read"] + counts["objects refused by validation"]
    assert refused < counts["objects"] / 25
    assert counts["pods simulated"] > 1_000


def test_the_hash_seed_does_not_matter(runs):
    """Every plan and every simulated history is the same to the byte."""
    one, other = (run["digests"] for run in runs)
    assert {name for name in one if one[name] != other[name]} == set()
    assert runs[0] == runs[1]
