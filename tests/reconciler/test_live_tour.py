"""The tour of ``make run``: it fails by itself if anything in it doesn't happen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOUR = Path(__file__).parents[2] / "examples" / "tour.py"


def test_the_tour_reaches_its_end() -> None:
    """With real processes, and nothing on stderr."""
    done = subprocess.run(
        [sys.executable, str(TOUR)], capture_output=True, text=True, timeout=300, cwd=TOUR.parents[1], check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "everything happened as it should" in done.stdout
