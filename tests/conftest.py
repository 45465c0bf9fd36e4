"""Makes the helper modules beside this file importable by tests of every folder; properties aren't timed; what a
command line has set of the log ends with its test.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """A log as it is before anybody configures it: the command line has it filtered, and written to a test's stderr."""
    yield
    structlog.reset_defaults()
