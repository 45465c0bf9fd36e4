"""Rolling a Deployment back to an earlier revision on request, as kube-controller-manager still does it (rollback.go).

The request is an annotation that API version extensions/v1beta1 left behind; ``kubectl rollout undo`` needs none of
this, it writes the earlier template itself.
"""

from __future__ import annotations

from rules.context import Context
from rules.revisions import ROLLBACK_TO, revision, rollback_to, rolled_back, same_template
from rules.rollouts import Rollout
from state.objects import Deployment, ReplicaSet, replace
from state.snapshot import Key

SOURCE = "deployment-controller"


def is_asked_for(deployment: Deployment) -> bool:
    """Whether the Deployment is to be rolled back now; not while it is paused."""
    return rollback_to(deployment) is not None and not deployment.spec.paused


def roll_back(ctx: Context, rollout: Rollout) -> None:
    """Does what was asked for, or says why it can't, and takes the request away."""
    deployment = rollout.deployment
    key, name = Key.of(deployment), deployment.metadata.name
    number = rollback_to(deployment) or _last_but_one(rollout)
    target = _of_revision(rollout, number)
    if not number:
        ctx.event(
            key, "DeploymentRollbackRevisionNotFound", "Unable to find last revision.", warning=True, source=SOURCE
        )
    elif target is None:
        message = "Unable to find the revision to rollback to."
        ctx.event(key, "DeploymentRollbackRevisionNotFound", message, warning=True, source=SOURCE)
    elif same_template(target.spec.template, deployment.spec.template):
        message = f'The rollback revision contains the same template as current deployment "{name}"'
        ctx.event(key, "DeploymentRollbackTemplateUnchanged", message, warning=True, source=SOURCE)
    else:
        deployment = rolled_back(deployment, target)
        ctx.event(key, "DeploymentRollback", f'Rolled back deployment "{name}" to revision {number}', source=SOURCE)
    annotations = {key: text for key, text in deployment.metadata.annotations.items() if key != ROLLBACK_TO}
    ctx.update(replace(deployment, metadata=replace(deployment.metadata, annotations=annotations)))


def _of_revision(rollout: Rollout, number: int) -> ReplicaSet | None:
    return next((rs for rs in rollout.sets if revision(rs) == number), None)


def _last_but_one(rollout: Rollout) -> int:
    """The second highest revision; 0 if there is none."""
    revisions = sorted({revision(rs) for rs in rollout.sets} - {0})
    return revisions[-2] if len(revisions) > 1 else 0
