"""The kubelet's decisions, as a table of rules over the facts of ``project.py``.

``decide`` looks at pods as they are and says what to do now, what to tell, and when to look again. It does nothing
itself; whoever does it reports back with the functions of ``outcomes.py``. Level-triggered: it can be asked at any
time, and repeating what was already done is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rules.actions import Event, Fact, Reason
from rules.engine import Rule, RuleMatcher, m, make_engine
from rules.kubelet import records
from rules.kubelet.project import Layout, Slot, back_off_left, facts, lay_out, obsolete_instances, stale_sandboxes
from rules.kubelet.records import (
    BACK_OFF,
    MAX_BACK_OFF,
    MIN_GRACE,
    NEVER,
    SECOND,
    Operation,
    PodView,
    Stop,
    Waiting,
    grace_seconds,
)
from rules.kubelet.status import pod_status
from state.objects import PodSpec, replace
from state.snapshot import Key
from state.times import format_duration

_NOBODY = Reason(rule="", because={}, template="")


@dataclass(slots=True)
class Decision:
    """What the rules say about one pod: what to do, what to tell, and when to look again (None: when something
    changes).
    """

    view: PodView
    layout: Layout
    now: int
    operations: list[Operation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    wake_at: int | None = None
    #: The facts have changed by the decision itself: it is to be asked again before anything else.
    again: bool = False
    reason: Reason = _NOBODY

    def wake(self, at: int | None) -> None:
        """Asks to look again at a time."""
        if at is not None and (self.wake_at is None or at < self.wake_at):
            self.wake_at = at

    def tell(self, reason: str, message: str, slot: Slot | None = None, *, warning: bool = False) -> None:
        """Records an event about the pod, or one of its containers."""
        container = "" if slot is None else slot.spec.name
        self.events.append(pod_event(self.view, reason, message, container, warning=warning))


def pod_event(view: PodView, reason: str, message: str, container: str = "", *, warning: bool = False) -> Event:
    """An event about a pod, or one of its containers, as the kubelet records it."""
    meta = view.pod.metadata
    return Event(
        target=Key("Pod", meta.namespace, meta.name),
        type="Warning" if warning else "Normal",
        reason=reason,
        message=message,
        source="kubelet",
        part=_part(view.pod.spec, container),
        host=view.pod.spec.node_name or "",
    )


def _part(spec: PodSpec, container: str) -> str:
    """The field that a container is, "" for none."""
    lists = {
        "containers": spec.containers,
        "initContainers": spec.init_containers,
        "ephemeralContainers": spec.ephemeral_containers,
    }
    found = (name for name, members in lists.items() if any(member.name == container for member in members))
    return next((f"spec.{name}{{{container}}}" for name in found), "")


# -- the pod -----------------------------------------------------------------------------------------------------------


def _fail(turn: Decision, _: Slot | None) -> None:
    message = "Pod was active on the node longer than the specified deadline"
    turn.view.remember(failure=("DeadlineExceeded", message))
    turn.again = True
    turn.tell("DeadlineExceeded", message)


def _start_pod(turn: Decision, _: Slot | None) -> None:
    sandbox = turn.view.sandbox
    if sandbox is not None:
        turn.tell("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
    attempt = 0 if sandbox is None else sandbox.attempt + 1
    turn.view.remember(waiting=None)
    turn.operations.append(records.StartPod(reason=turn.reason, attempt=attempt))


def _wait_pod(turn: Decision, _: Slot | None) -> None:
    waiting = turn.view.memory.waiting
    turn.wake(None if waiting is None else waiting.until)


def _stop_sandbox(turn: Decision, _: Slot | None) -> None:
    sandbox = turn.view.sandbox
    assert sandbox is not None
    turn.operations.append(records.StopSandbox(reason=turn.reason, id=sandbox.id))


def _clean_up(turn: Decision, _: Slot | None) -> None:
    turn.view.remember(status=pod_status(turn.layout, turn.now))  # the last word, while there is something to tell
    turn.operations.append(records.CleanUp(reason=turn.reason))


def _remove_sandboxes(turn: Decision, _: Slot | None) -> None:
    for sandbox_id in stale_sandboxes(turn.view):
        turn.operations.append(records.RemoveSandbox(reason=turn.reason, id=sandbox_id))


# -- starting containers -----------------------------------------------------------------------------------------------


def _tell_start(turn: Decision, slot: Slot) -> None:
    newest = slot.newest
    assert newest is not None
    if newest.reason == "StartError":
        turn.tell("Failed", f"Error: {newest.message}", slot, warning=True)
    else:
        turn.tell("Started", f"Started container {slot.spec.name}", slot)
    turn.view.remember_container(slot.spec.name, starting="")


def _forget(turn: Decision, slot: Slot) -> None:
    for instance in obsolete_instances(slot):
        operation = records.RemoveContainer(reason=turn.reason, container=slot.spec.name, id=instance.id)
        turn.operations.append(operation)


def _wait(turn: Decision, slot: Slot) -> None:
    waiting = slot.memory.waiting
    turn.wake(None if waiting is None else waiting.until)


def _back_off(turn: Decision, slot: Slot) -> None:
    until = turn.now + back_off_left(slot, turn.now)
    pod, name = turn.view.name, slot.spec.name
    delay = format_duration(slot.memory.back_off)
    message = f"back-off {delay} restarting failed container={name} pod={pod}"
    turn.view.remember_container(name, waiting=Waiting(reason="CrashLoopBackOff", message=message, until=until))
    turn.tell("BackOff", f"Back-off restarting failed container {name} in pod {pod}", slot, warning=True)
    turn.wake(until)


def _never_pull(turn: Decision, slot: Slot) -> None:
    message = f'Container image "{slot.spec.image}" is not present with pull policy of Never'
    until = turn.now + records.RETRY
    turn.view.remember_container(
        slot.spec.name, waiting=Waiting(reason="ErrImageNeverPull", message=message, until=until)
    )
    turn.tell("ErrImageNeverPull", message, slot, warning=True)
    turn.tell("Failed", "Error: ErrImageNeverPull", slot, warning=True)
    turn.wake(until)


def _pull(turn: Decision, slot: Slot) -> None:
    name, image = slot.spec.name, slot.spec.image or ""
    attempt = turn.reason.because["attempt"]
    assert isinstance(attempt, int)
    turn.view.remember_container(name, pulling=True)
    turn.tell("Pulling", f'Pulling image "{image}"', slot)
    turn.operations.append(records.PullImage(reason=turn.reason, container=name, image=image, attempt=attempt))


def _run(turn: Decision, slot: Slot) -> None:
    name, newest, memory = slot.spec.name, slot.newest, slot.memory
    attempt = turn.reason.because["attempt"]
    assert isinstance(attempt, int)
    if newest is not None and newest.state == "EXITED":
        fresh = not memory.back_off or newest.finished_at - memory.backed_off_at > 2 * MAX_BACK_OFF
        delay = BACK_OFF if fresh else min(2 * memory.back_off, MAX_BACK_OFF)
        turn.view.remember_container(name, back_off=delay, backed_off_at=turn.now, waiting=None)
    elif memory.waiting is not None:
        turn.view.remember_container(name, waiting=None)
    turn.operations.append(records.RunContainer(reason=turn.reason, container=name, attempt=attempt))


def _post_start(turn: Decision, slot: Slot) -> None:
    newest = slot.newest
    assert newest is not None
    turn.view.remember_container(slot.spec.name, post_start="running")
    turn.operations.append(
        records.RunHook(reason=turn.reason, container=slot.spec.name, id=newest.id, hook="postStart")
    )


# -- ending containers -------------------------------------------------------------------------------------------------


def _kill(turn: Decision, slot: Slot) -> None:
    ill = turn.reason.because["ill"]
    probe = {"failed liveness probe": slot.spec.liveness_probe, "failed startup probe": slot.spec.startup_probe}.get(
        str(ill)
    )
    own = None if probe is None else probe.termination_grace_period_seconds
    policy = slot.spec.restart_policy or turn.view.pod.spec.restart_policy
    message = f"Container {slot.spec.name} {ill}" + ("" if policy == NEVER else ", will be restarted")
    _begin_stop(turn, slot, message, own)


def _kill_after_hook(turn: Decision, slot: Slot) -> None:
    _begin_stop(turn, slot, "FailedPostStartHook", None)


def _end(turn: Decision, slot: Slot) -> None:
    _begin_stop(turn, slot, f"Stopping container {slot.spec.name}", None)


def _begin_stop(turn: Decision, slot: Slot, message: str, own_grace: int | None) -> None:
    newest = slot.newest
    assert newest is not None
    turn.tell("Killing", message, slot)
    seconds = grace_seconds(turn.view) if own_grace is None else own_grace
    lifecycle = slot.spec.lifecycle
    hooked = lifecycle is not None and lifecycle.pre_stop is not None and seconds > 0 and newest.state == "RUNNING"
    stop = Stop(id=newest.id, began_at=turn.now, grace=seconds * SECOND, hook="running" if hooked else "")
    turn.view.remember_container(slot.spec.name, stop=stop)
    slot.memory = turn.view.remembered(slot.spec.name)
    turn.wake(stop.began_at + stop.grace)
    if hooked:
        turn.operations.append(
            records.RunHook(reason=turn.reason, container=slot.spec.name, id=newest.id, hook="preStop", timeout=seconds)
        )
    elif turn.reason.because["turn"]:
        _signal(turn, slot)


def _signal(turn: Decision, slot: Slot) -> None:
    stop = slot.memory.stop
    assert stop is not None
    left = max(MIN_GRACE, stop.began_at + stop.grace - turn.now)
    turn.view.remember_container(slot.spec.name, stop=replace(stop, signalled=True))
    turn.operations.append(
        records.StopContainer(reason=turn.reason, container=slot.spec.name, id=stop.id, timeout=left / SECOND)
    )


def _hold_on(turn: Decision, slot: Slot) -> None:
    stop = slot.memory.stop
    assert stop is not None
    turn.wake(stop.began_at + stop.grace)


def _hurry(turn: Decision, slot: Slot) -> None:
    stop = slot.memory.stop
    assert stop is not None
    shorter = replace(stop, grace=grace_seconds(turn.view) * SECOND)
    turn.view.remember_container(slot.spec.name, stop=shorter)
    slot.memory = turn.view.remembered(slot.spec.name)
    if stop.signalled:
        _signal(turn, slot)
    else:
        turn.wake(shorter.began_at + shorter.grace)


# Expressions of durable.lang: "not" and "is" can't be seen by it.
_pod = m.kind == "pod"
_stays = _pod & (m.ending == False) & (m.overdue == False)  # noqa: E712
_over = _pod & (m.alive == 0)
_container = m.kind == "container"
_due = _container & (m.due == True)  # noqa: E712
_free = _due & (m.waiting == False) & (m.backing_off == False)  # noqa: E712
_lives_on = _container & (m.stop == "none") & (m.ending == False)  # noqa: E712
_settled = _container & (m.hurry == False)  # noqa: E712
_no_hook = (m.stop == "ready") | (m.stop == "done")
_its_turn = m.turn == True  # noqa: E712
_others_first = m.turn == False  # noqa: E712
_in_time = m.patience == True  # noqa: E712
_late = m.patience == False  # noqa: E712

RULES = (
    Rule(
        "pod-deadline",
        _pod & (m.overdue == True) & (m.ending == False),  # noqa: E712
        _fail,
        "{name} was active longer than its {deadline} s",
    ),
    Rule(
        "pod-start",
        _stays & (m.sandbox != "ready") & (m.waiting == False),  # noqa: E712
        _start_pod,
        "{name} belongs on this node and its sandbox is {sandbox}",
    ),
    Rule(
        "pod-wait",
        _stays & (m.sandbox != "ready") & (m.waiting == True),  # noqa: E712
        _wait_pod,
        "{name} can't be started yet",
    ),
    Rule(
        "pod-stop-sandbox",
        _over & (m.ending == True) & (m.sandbox == "ready"),  # noqa: E712
        _stop_sandbox,
        "{name} ends and none of its containers runs any more",
    ),
    Rule(
        "pod-clean-up",
        _over & (m.deleted == True) & (m.sandbox != "ready") & (m.cleaned == False),  # noqa: E712
        _clean_up,
        "{name} is deleted and nothing of it runs any more",
    ),
    Rule("pod-forget-sandbox", _pod & (m.stale > 0), _remove_sandboxes, "{name} has {stale} sandboxes of before"),
    Rule("container-report-start", _container & (m.told == False), _tell_start, "{name} was started"),  # noqa: E712
    Rule("container-forget", _container & (m.obsolete > 0), _forget, "{name} has {obsolete} dead instances too many"),
    Rule("container-wait", _due & (m.waiting == True), _wait, "{name} can't be started yet"),  # noqa: E712
    Rule(
        "container-back-off",
        _due & (m.waiting == False) & (m.backing_off == True),  # noqa: E712
        _back_off,
        "{name} ended with exit code {exit_code} and is not restarted for another {back_off_seconds} s",
    ),
    Rule("container-never-pull", _free & (m.pull == "never"), _never_pull, "{image} is missing and may not be pulled"),
    Rule("container-pull", _free & (m.pull == "due"), _pull, "{name} is to run and needs {image}"),
    Rule("container-run", _free & (m.pull == "no"), _run, "{name} is to run and is {state}"),
    Rule(
        "container-post-start",
        _lives_on & (m.post_start == "pending") & (m.ill == ""),
        _post_start,
        "{name} has just started and has a postStart hook",
    ),
    Rule("container-kill", _lives_on & (m.ill != ""), _kill, "{name} {ill}"),
    Rule(
        "container-kill-after-hook",
        _lives_on & (m.post_start == "failed") & (m.ill == ""),
        _kill_after_hook,
        "the postStart hook of {name} failed",
    ),
    Rule(
        "container-end",
        _container & (m.stop == "none") & (m.ending == True),  # noqa: E712
        _end,
        "{pod} ends and {name} is {state}",
    ),
    Rule("container-hurry", _container & (m.hurry == True), _hurry, "{pod} has less time to end"),  # noqa: E712
    Rule("container-stop", _settled & _no_hook & _its_turn, _signal, "{name} is to end and it is its turn"),
    Rule("container-stop-early", _settled & _no_hook & _others_first & _late, _signal, "{name} has no time left"),
    Rule("container-stop-in-hook", _settled & (m.stop == "running") & _late, _signal, "{name} has no time left"),
    Rule("container-wait-turn", _settled & _no_hook & _others_first & _in_time, _hold_on, "others end before {name}"),
    Rule("container-wait-hook", _settled & (m.stop == "running") & _in_time, _hold_on, "{name} runs its preStop hook"),
)


class PodRules:
    """The compiled table. It belongs to one thread."""

    def __init__(self) -> None:
        self._engine: RuleMatcher = make_engine("kubelet", RULES)

    def decide(self, views: Sequence[PodView], now: int) -> list[Decision]:
        """What is to be done about each pod now, in the order given. Changes the views' memory."""
        decisions = []
        rows: list[tuple[Decision, Fact, Slot | None]] = []
        for view in views:
            decision = Decision(view, lay_out(view, now), now)
            decision.wake(decision.layout.deadline if not decision.layout.ending else None)
            decisions.append(decision)
            rows += [(decision, fact, slot) for fact, slot in facts(decision.layout, now)]
        if not rows:
            return decisions
        for firing in self._engine.match([fact for _, fact, _ in rows]):
            decision, fact, slot = rows[firing.slots[0]]
            rule = firing.rule
            decision.reason = Reason(rule=rule.name, because=fact, template=rule.why)
            if slot is not None:
                slot.memory = decision.view.remembered(slot.spec.name)
            rule.then(decision, slot)
        return decisions
