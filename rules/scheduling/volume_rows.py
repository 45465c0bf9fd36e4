"""The volume plugins asked about many nodes: once for all nodes that differ in nothing that matters to the volumes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rules.scheduling.columns import Mask, NodeColumns, Rows
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.plugins.node_volume_limits import NodeVolumeLimits, attached, limits_of
from rules.scheduling.plugins.volume_binding import VolumeBinding
from rules.scheduling.plugins.volume_zone import LABELS, VolumeZone
from rules.scheduling.volume_choice import Claims, selected_node
from rules.scheduling.volumes import claim_class
from state.objects import CSINode, CSIStorageCapacity, PersistentVolume, StorageClass


def refused(columns: NodeColumns, cycle: Cycle, fits: Mask) -> list[int]:
    """The rows among those that fit otherwise which a volume plugin refuses."""
    left = fits.copy()
    for plugin in cycle.filters:
        if isinstance(plugin, VolumeBinding):
            claims: Claims = cycle.state[plugin.name]
            if any(selected_node(cycle.cluster, claim) is not None for claim in claims.waiting):
                _ask_each(columns, cycle, plugin, left)
            else:
                _ask_alike(columns, cycle, plugin, left, _binding_keys(cycle, claims))
        elif isinstance(plugin, VolumeZone):
            _ask_alike(columns, cycle, plugin, left, LABELS)
        elif isinstance(plugin, NodeVolumeLimits):
            crowded = left & _may_exceed(columns, cycle)
            left &= ~crowded
            _ask_each(columns, cycle, plugin, crowded)
            left |= crowded
        else:
            _ask_each(columns, cycle, plugin, left)
    rows: list[int] = np.flatnonzero(fits & ~left).tolist()
    return rows


def _ask_each(columns: NodeColumns, cycle: Cycle, plugin: Plugin, left: Mask) -> None:
    for row in np.flatnonzero(left).tolist():
        if plugin.filter(cycle, columns.infos[row]) is not None:
            left[row] = False


def _ask_alike(columns: NodeColumns, cycle: Cycle, plugin: Plugin, left: Mask, keys: Iterable[str]) -> None:
    """Asks about one node of each combination of the labels."""
    codes: Rows = np.zeros(columns.size, dtype=np.intp)
    for key in sorted(keys):
        label = columns.label(key)
        codes = codes * (len(label.values) + 1) + label.codes + 1
        if codes.size and codes.max() > _MOST_CODES:
            codes = np.unique(codes, return_inverse=True)[1].astype(np.intp)
    rows = np.flatnonzero(left)
    _, first, inverse = np.unique(codes[rows], return_index=True, return_inverse=True)
    verdicts = [plugin.filter(cycle, columns.infos[row]) is None for row in rows[first].tolist()]
    left[rows] = np.array(verdicts, dtype=bool)[inverse] if len(rows) else False


#: Combined codes are made small again beyond this, so that they never overflow.
_MOST_CODES = 2**31


def _binding_keys(cycle: Cycle, claims: Claims) -> set[str]:
    """The node labels that VolumeBinding's verdict may depend on."""
    cluster = cycle.cluster
    keys: set[str] = set()
    for claim in claims.bound:
        keys |= _affinity_keys(cluster.find(PersistentVolume, claim.spec.volume_name or ""))
    for volumes in claims.volumes.values():
        for volume in volumes:
            keys |= _affinity_keys(volume)
    for claim in claims.waiting:
        storage_class = cluster.find(StorageClass, claim_class(claim))
        for term in storage_class.allowed_topologies if storage_class is not None else ():
            keys |= {expression.key for expression in term.match_label_expressions}
    if claims.waiting:
        for capacity in cluster.view.table("CSIStorageCapacity").values():
            assert isinstance(capacity, CSIStorageCapacity)
            if capacity.node_topology is not None:
                keys |= set(capacity.node_topology.match_labels)
                keys |= {expression.key for expression in capacity.node_topology.match_expressions}
    return keys


def _affinity_keys(volume: PersistentVolume | None) -> set[str]:
    if volume is None or volume.spec.node_affinity is None or volume.spec.node_affinity.required is None:
        return set()
    terms = volume.spec.node_affinity.required.node_selector_terms
    return {expression.key for term in terms for expression in term.match_expressions}


def _may_exceed(columns: NodeColumns, cycle: Cycle) -> Mask:
    """The rows where a driver's limit could be reached if every volume counted."""
    if not cycle.cluster.view.table("CSINode"):
        return np.zeros(columns.size, dtype=bool)
    if columns.volume_limits is None:
        found = [limits_of(cycle.cluster.find(CSINode, name)).values() for name in columns.names]
        columns.volume_limits = np.array([min(limits, default=_NO_LIMIT) for limits in found], dtype=np.int64)
    columns.refresh()
    volumes = columns.volumes + len(cycle.cls.volumes)
    for node, attachments in attached(cycle).items():
        if node in columns.rows:
            volumes[columns.rows[node]] += len(attachments)
    exceeding: Mask = volumes > columns.volume_limits
    return exceeding


_NO_LIMIT = 2**31
