"""Options and the calibration loop that ratios are taken against."""

from __future__ import annotations

import pytest


def pytest_addoption(parser):
    """``--smoke`` shrinks every workload so that the suite takes seconds."""
    parser.addoption("--smoke", action="store_true", help="small workloads: shows that the benchmarks run")


@pytest.fixture(scope="session")
def smoke(request):
    """Whether workloads are to be small."""
    return request.config.getoption("--smoke")


@pytest.fixture(scope="session")
def sizes(smoke):
    """A workload's size as it is, or a fiftieth of it."""
    return (lambda size: max(1, size // 50)) if smoke else (lambda size: size)
