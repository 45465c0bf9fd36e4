"""This machine as a Node, and the loopback addresses that one reconciler has to itself on it."""

from __future__ import annotations

import os
import platform
import re
import socket
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from reconciler.nodes import DEFAULT_PODS, make_node
from state.errors import StateError
from state.objects import Node, NodeAddress, Opaque, Quantity, replace
from state.times import format_time

#: Where pods and services are: each reconciler has a /20 of this range, a half for pods, a half for services.
RANGE_FIRST_OCTET, RANGE_SECOND_OCTET = 127, 64
#: How many reconcilers the range has room for: 127.64.0.0/10 in blocks of 4,096 addresses.
BLOCKS = 1024
_BLOCK_SIZE = 4096
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_NO_NAME = re.compile(r"[^a-z0-9.-]+")


class AddressesTakenError(StateError):
    """Another reconciler on this machine uses the addresses."""


@dataclass(frozen=True, slots=True)
class Block:
    """A reconciler's own part of 127.0.0.0/8."""

    number: int

    @property
    def pod_cidr(self) -> str:
        """Where pods' addresses come from."""
        return f"{self._address(0)}/21"

    @property
    def service_cidr(self) -> str:
        """Where cluster IPs come from."""
        return f"{self._address(_BLOCK_SIZE // 2)}/21"

    def _address(self, offset: int) -> str:
        number = self.number * _BLOCK_SIZE + offset
        return f"{RANGE_FIRST_OCTET}.{RANGE_SECOND_OCTET + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


class BlockLock:
    """The right to use a block. It is an abstract socket, so the kernel keeps it per network namespace, as addresses
    are, and ends it with the process.

    Raises:
        AddressesTakenError: another process has it.
    """

    def __init__(self, block: Block) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.bind(f"\0reconciler/network/{block.number}")
        except OSError as error:
            self._socket.close()
            msg = f"the addresses {block.pod_cidr} are in use by another reconciler on this machine"
            raise AddressesTakenError(msg) from error

    def release(self) -> None:
        """Lets another process have it."""
        self._socket.close()


def take_block(preferred: int) -> tuple[Block, BlockLock]:
    """A block that nobody uses now, the preferred one if possible.

    Raises:
        AddressesTakenError: all are in use.
    """
    for step in range(BLOCKS):
        block = Block((preferred + step) % BLOCKS)
        try:
            return block, BlockLock(block)
        except AddressesTakenError:
            if step == BLOCKS - 1:
                raise
    raise AssertionError("there are blocks")


def node_name() -> str:
    """The machine's name as a node's name."""
    name = _NO_NAME.sub("-", socket.gethostname().lower()).strip("-.")
    return name[:63].strip("-.") or "localhost"


def system_uuid(directory: Path) -> str:
    """What tells a reconciler on this machine, with its state in a directory, from all others."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="utf-8").strip()
    except OSError:  # there is none in many containers
        machine = f"{uuid.getnode():x}"
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{machine}{directory}"))


def this_node(name: str, block: Block, disk: Path, now: int) -> Node:
    """This machine as a node that is Ready since ``now`` (µs); ``disk`` is where its volumes and logs are."""
    capacity: dict[str, Quantity] = {
        "cpu": str(len(os.sched_getaffinity(0))),
        "memory": f"{_memory_kib()}Ki",
        "ephemeral-storage": f"{_disk_kib(disk)}Ki",
        "pods": DEFAULT_PODS,
    }
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine, machine)
    node = make_node(name, capacity, labels={"kubernetes.io/arch": architecture}, now=now)
    info = {
        "architecture": architecture,
        "containerRuntimeVersion": "process://",
        "kubeletVersion": f"v{version('reconciler')}",
        "kernelVersion": platform.release(),
        "operatingSystem": "linux",
        "osImage": _os_name(),
        "systemUUID": system_uuid(disk),
    }
    addresses = (NodeAddress(type="InternalIP", address="127.0.0.1"), NodeAddress(type="Hostname", address=name))
    return replace(
        node,
        metadata=replace(node.metadata, creation_timestamp=format_time(now)),
        spec=replace(node.spec, pod_cidr=block.pod_cidr, pod_cidrs=(block.pod_cidr,)),
        status=replace(node.status, addresses=addresses, node_info=Opaque(info)),
    )


def _memory_kib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024


def _disk_kib(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_frsize * status.f_blocks // 1024


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
