"""The nodes as numpy columns: one row a node, in the order of names, so that the first of equals is the first by name.

A cache of ``Cluster``. Pods coming and going mark rows as changed; a change of a node itself that a plugin could see
makes new columns, and everything derived from the old ones is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.scheduling.cluster import Cluster
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.plugins.image_locality import image_sizes
from rules.scheduling.pods import PodClass
from state.objects import Taint

Ints = NDArray[np.int64]
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Amounts from here on could overflow when multiplied by 100; such clusters go the plain way.
TOO_LARGE = 2**56
#: The change log is cut when it has this many entries for each row.
_LOG_FACTOR = 8


class LabelColumn(NamedTuple):
    """A label of all nodes: ``codes`` number the distinct ``values`` in the order of first sight; -1 where absent."""

    codes: Rows
    values: Sequence[str]
    numbers: dict[str, int]


class TaintGroups(NamedTuple):
    """Nodes with the same taints and the same ``unschedulable``: the group of each row, and what each group has."""

    codes: Rows
    taints: Sequence[tuple[Taint, ...]]
    unschedulable: Sequence[bool]


class NodeRows:
    """Some nodes as columns: numbers of pods, what they hold and request, what the nodes have. For reading only.

    This is what a column plugin sees. Amounts are in millicores for CPU and whole units for everything else.
    """

    def __init__(self, infos: Sequence[NodeInfo]) -> None:
        self._infos: Sequence[NodeInfo] = infos
        self.size = len(infos)
        self.allowed_pods = _column([info.allowed_pods for info in infos])
        self.pods = _column([len(info.pods) for info in infos])
        self.held_cpu = _column([info.held_cpu for info in infos])
        self.held_memory = _column([info.held_memory for info in infos])

    @property
    def infos(self) -> Sequence[NodeInfo]:
        """The nodes themselves."""
        return self._infos

    def allocatable(self, resource: str) -> Ints:
        """How much each node has in all."""
        return _column([info.allocatable.get(resource, 0) for info in self.infos])

    def requested(self, resource: str) -> Ints:
        """How much the pods of each node request."""
        return _column([info.requested.get(resource, 0) for info in self.infos])

    def label_values(self, key: str) -> list[str | None]:
        """A label of each node."""
        return [info.labels.get(key) for info in self.infos]


class Filled(NodeRows):
    """Some rows as they would be with more pods of a class on each. The columns are to be up to date (``refresh``)."""

    def __init__(self, columns: NodeColumns, rows: Rows, copies: Ints | int, cls: PodClass) -> None:
        self._columns = columns
        self._rows = rows
        self._copies = copies
        self._cls = cls
        self.size = len(rows)
        self.allowed_pods = columns.allowed_pods[rows]
        self.pods = columns.pods[rows] + copies
        self.held_cpu = columns.held_cpu[rows] + copies * cls.held_cpu
        self.held_memory = columns.held_memory[rows] + copies * cls.held_memory

    @property
    def infos(self) -> Sequence[NodeInfo]:
        """The nodes themselves, as they are."""
        return [self._columns.infos[row] for row in self._rows.tolist()]

    def allocatable(self, resource: str) -> Ints:
        """How much each node has in all."""
        return self._columns.allocatable(resource)[self._rows]

    def requested(self, resource: str) -> Ints:
        """How much the pods of each node would request."""
        return self._columns.requested(resource)[self._rows] + self._copies * self._cls.requests.get(resource, 0)


class NodeColumns(NodeRows):
    """All nodes of a cluster as columns.

    ``log`` lists the rows whose pods changed, oldest first; who keeps a position in it knows what to look at again.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.candidates())
        self.cluster = cluster
        self.names: list[str] = [info.name for info in self.infos]
        self.rows: dict[str, int] = {name: row for row, name in enumerate(self.names)}
        self.log: list[int] = []
        self._read = 0
        self._labels: dict[str, LabelColumn] = {}
        self._taints: TaintGroups | None = None
        self._allocatable: dict[str, Ints] = {}
        self._requested: dict[str, Ints] = {}
        self.volumes = _column([info.volumes for info in self.infos])
        #: The smallest limit of any CSI driver on each node; made by who needs it.
        self.volume_limits: Ints | None = None
        self._images: tuple[dict[str, int], dict[str, list[str]]] | None = None
        self.overflows = any(
            amount >= TOO_LARGE for info in self.infos for amount in (*info.allocatable.values(), info.allowed_pods)
        )

    def touched(self, row: int) -> None:
        """A pod came to the row's node or left it."""
        self.log.append(row)

    @property
    def is_log_long(self) -> bool:
        """Whether the log is so long that starting afresh is cheaper than keeping it."""
        return len(self.log) > _LOG_FACTOR * (self.size + 1000)

    def refresh(self) -> None:
        """Brings the columns of amounts up to date with the pods."""
        if self._read == len(self.log):
            return
        for row in set(self.log[self._read :]):
            info = self.infos[row]
            self.pods[row] = len(info.pods)
            self.volumes[row] = info.volumes
            self.held_cpu[row] = min(info.held_cpu, TOO_LARGE)
            self.held_memory[row] = min(info.held_memory, TOO_LARGE)
            for resource, column in self._requested.items():
                column[row] = min(info.requested.get(resource, 0), TOO_LARGE)
        self._read = len(self.log)

    def allocatable(self, resource: str) -> Ints:
        """How much each node has in all."""
        column = self._allocatable.get(resource)
        if column is None:
            column = self._allocatable[resource] = super().allocatable(resource)
        return column

    def requested(self, resource: str) -> Ints:
        """How much the pods of each node request; call ``refresh`` before."""
        column = self._requested.get(resource)
        if column is None:
            column = self._requested[resource] = super().requested(resource)
        return column

    def label(self, key: str) -> LabelColumn:
        """A label as a column."""
        column = self._labels.get(key)
        if column is None:
            index: dict[str, int] = {}
            codes = [
                -1 if (value := info.labels.get(key)) is None else index.setdefault(value, len(index))
                for info in self.infos
            ]
            column = self._labels[key] = LabelColumn(np.array(codes, dtype=np.intp), list(index), index)
        return column

    @property
    def taints(self) -> TaintGroups:
        """The distinct taint lists."""
        if self._taints is None:
            index: dict[tuple[bool, tuple[Taint, ...]], int] = {}
            codes = []
            for info in self.infos:
                assert info.node is not None
                key = (bool(info.node.spec.unschedulable), info.node.spec.taints)
                codes.append(index.setdefault(key, len(index)))
            groups = list(index)
            self._taints = TaintGroups(
                np.array(codes, dtype=np.intp), [taints for _, taints in groups], [cordoned for cordoned, _ in groups]
            )
        return self._taints

    @property
    def images(self) -> tuple[dict[str, int], dict[str, list[str]]]:
        """Sizes and holders of images, as ``image_sizes``."""
        if self._images is None:
            self._images = image_sizes(self.cluster)
        return self._images


def _column(values: Sequence[int]) -> Ints:
    return np.array([min(value, TOO_LARGE) for value in values], dtype=np.int64)
