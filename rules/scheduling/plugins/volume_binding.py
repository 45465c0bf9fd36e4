"""VolumeBinding: every claim of the pod has, or can get, a volume that the node can reach."""

from __future__ import annotations

from rules.scheduling.decision import NO_CHOICES, VolumeChoices
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.status import SKIP, UNRESOLVABLE, PreFilterResult, Refusal
from rules.scheduling.volume_choice import Claims, choose, sort_claims
from rules.scheduling.volumes import claim_uses, is_for_pod, not_found

REASON_NODE = "node(s) didn't match PersistentVolume's node affinity"
REASON_BIND = "node(s) didn't find available persistent volumes to bind"
REASON_STORAGE = "node(s) did not have enough free storage"
REASON_GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
REASON_UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


class VolumeBinding(Plugin):
    """Rejects nodes that a bound volume doesn't reach, or where a waiting claim finds no volume."""

    name = "VolumeBinding"

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Checks the claims themselves; unbound ones that don't wait for a pod reject it."""
        problem = self._claims_problem(cycle)
        if problem is not None:
            return self.refuse(UNRESOLVABLE, problem)
        claims = sort_claims(cycle.cluster, cycle.entry)
        if not (claims.bound or claims.immediate or claims.waiting):
            return SKIP
        if claims.immediate:
            return self.refuse(UNRESOLVABLE, REASON_UNBOUND)
        cycle.state[self.name] = claims
        return None

    def _claims_problem(self, cycle: Cycle) -> str | None:
        entry = cycle.entry
        for use in claim_uses(cycle.cluster, entry):
            claim = use.claim
            if claim is None:
                if use.ephemeral:
                    waiting = "waiting for ephemeral volume controller to create the persistentvolumeclaim"
                    return f'{waiting} "{use.name}"'
                return not_found(use.name)
            if claim.status.phase == "Lost":
                lost = claim.spec.volume_name or ""
                return f'persistentvolumeclaim "{use.name}" bound to non-existent persistentvolume "{lost}"'
            if claim.metadata.deletion_timestamp is not None:
                return f'persistentvolumeclaim "{use.name}" is being deleted'
            if use.ephemeral and not is_for_pod(entry, claim.metadata):
                pod = f"{entry.key[0]}/{entry.key[1]}"
                return f"PVC {entry.key[0]}/{use.name} was not created for pod {pod} (pod is not owner)"
        return None

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's VolumeBinding."""
        claims: Claims = cycle.state[self.name]
        verdict = choose(cycle.cluster, claims, node)
        reasons = []
        if not verdict.reachable:
            reasons.append(REASON_NODE)
        if not verdict.found:
            reasons.append(REASON_BIND)
        if not verdict.enough_storage:
            reasons.append(REASON_STORAGE)
        if not verdict.volumes_exist:
            reasons.append(REASON_GONE)
        return self.refuse(UNRESOLVABLE, *reasons) if reasons else None

    def reserve(self, cycle: Cycle, node: NodeInfo) -> VolumeChoices:
        """What to do about the waiting claims on the chosen node; from here on it is assumed."""
        claims: Claims | None = cycle.state.get(self.name)
        if claims is None or not claims.waiting:
            return NO_CHOICES
        verdict = choose(cycle.cluster, claims, node)
        namespace = cycle.entry.key[0]
        static = {claim.metadata.name: volume.metadata.name for claim, volume in verdict.static}
        provision = tuple(claim.metadata.name for claim in verdict.provision)
        cycle.cluster.assumed_volumes.update({volume: (namespace, claim) for claim, volume in static.items()})
        cycle.cluster.assumed_nodes.update({(namespace, claim): node.name for claim in provision})
        return VolumeChoices(static, provision)
