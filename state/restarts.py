"""Whether a container that has ended is started again: what its node goes by, and what a reported status may say."""

from __future__ import annotations

from state.objects import Container


def restarts(container: Container, policy: str, exit_code: int) -> bool:
    """Whether a container that ended with that code is started again (ContainerShouldRestart): by its rules, else by
    its own policy, else by the pod's.
    """
    for rule in container.restart_policy_rules:
        codes = rule.exit_codes
        if codes is not None and (exit_code in codes.values) == (codes.operator == "In"):
            return True
    policy = container.restart_policy or policy
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)
