"""Drivers by name, from the project and from other distributions."""

import subprocess
import sys

import pytest

from reconciler.drivers import NETWORK, RUNTIME, STORAGE, DriverNotFoundError, DriverRegistry
from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.drivers.storage.directory import DirectoryStorage


def distribution(folder, name, **points):
    """An installed distribution with entry points for network drivers."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{point} = {value}" for point, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[reconciler.network_drivers]", *lines, ""]))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the import path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_drivers_that_ship():
    """Each name gives its driver, made with its own options."""
    assert RUNTIME.names() == ("process", "simulated")
    assert NETWORK.names() == ("simulated", "userspace")
    assert STORAGE.names() == ("directory", "simulated")
    assert isinstance(NETWORK.create("simulated", pod_cidr="10.0.0.0/8"), SimulatedNetwork)


def test_options_reach_the_driver(tmp_path):
    """As keyword arguments."""
    driver = STORAGE.create("directory", root=tmp_path, name="mine")
    try:
        assert isinstance(driver, DirectoryStorage)
        assert driver.name == "mine"
    finally:
        driver.close()


@pytest.mark.parametrize("registry", [RUNTIME, NETWORK, STORAGE])
def test_every_name_that_ships_can_be_loaded(registry):
    """No name points at nothing."""
    for name in registry.names():
        assert callable(registry.factory(name))


def test_an_unknown_name_lists_the_known_ones():
    """So that a typing error is seen at once."""
    with pytest.raises(DriverNotFoundError, match='no network driver "userspce"; known are: simulated, userspace'):
        NETWORK.create("userspce")


def test_another_distribution_brings_a_driver(site):
    """By an entry point, without a change here."""
    (site / "theirs.py").write_text("class Network:\n    def __init__(self, speed):\n        self.speed = speed\n")
    distribution(site, "theirs", wireguard="theirs:Network")
    assert "wireguard" in NETWORK.names()
    assert NETWORK.create("wireguard", speed=9).speed == 9


def test_a_name_that_ships_cannot_be_taken_over(site):
    """Installing something must not change what "simulated" means."""
    distribution(site, "theirs", simulated="theirs:Network")
    assert isinstance(NETWORK.create("simulated"), SimulatedNetwork)


def test_a_name_that_two_distributions_claim_is_an_error(site):
    """Rather than a choice by chance."""
    distribution(site, "theirs", fast="theirs:Network")
    distribution(site, "others", fast="others:Network")
    with pytest.raises(DriverNotFoundError, match='"fast" is ambiguous: others:Network, theirs:Network'):
        NETWORK.factory("fast")


def test_a_driver_that_cannot_be_loaded_says_why(site):
    """With the cause."""
    distribution(site, "theirs", broken="not_there:Network", wrong="json:Network")
    with pytest.raises(
        DriverNotFoundError, match=r'"broken" \(not_there:Network\) cannot be imported: No module named'
    ):
        NETWORK.factory("broken")
    with pytest.raises(DriverNotFoundError, match='"wrong": json has no "Network"'):
        NETWORK.factory("wrong")


def test_names_are_known_without_importing_the_drivers():
    """Importing the registry costs no driver."""
    script = (
        "import sys, reconciler.drivers.registry as registry; registry.NETWORK.names();"
        "print([name for name in sys.modules if name.endswith(('.userspace', '.directory', '.process'))])"
    )
    path = ":".join(filter(None, sys.path))
    run = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    assert run.stdout == "[]\n"


def test_a_registry_of_ones_own():
    """The class is for any kind."""
    registry = DriverRegistry("clock", {"steady": "time:monotonic"})
    assert registry.create("steady") > 0
