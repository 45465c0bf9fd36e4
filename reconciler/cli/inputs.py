"""What a command works on: the manifests, the cluster and the time that its options name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from reconciler.api import reconcile
from reconciler.apply import place
from reconciler.cli import exits
from reconciler.extensions import controllers, installed_profiles
from reconciler.files import load_files
from reconciler.nodes import parse_nodes
from reconciler.plan import Plan
from reconciler.untyped import definitions_of
from rules.concern import Concern
from rules.scheduling import ConfigurationError, Profile
from state.convert import Validation
from state.errors import StateError
from state.load import Loaded, Refusal, load
from state.objects import KINDS, AnyObject, Node, kind_key
from state.objects import replace as changed
from state.snapshot import Key

_STDIN = "-"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The options, as they were given; ``now`` in µs since the epoch."""

    desired: tuple[str, ...]
    observed: tuple[str, ...]
    nodes: str
    now: int
    namespace: str
    validation: Validation
    scheduler_config: str | None
    skip_invalid: bool

    @property
    def is_empty(self) -> bool:
        """Whether no manifest and no object is named."""
        return not self.desired and not self.observed

    def profiles(self) -> tuple[Profile, ...]:
        """How pods are placed.

        Raises:
            StateError: the configuration can't be honoured; says file and path.
        """
        name = self.scheduler_config
        if name is None:
            return installed_profiles(None)
        text = sys.stdin.read() if name == _STDIN else Path(name).read_text()
        try:
            return installed_profiles(text)
        except ConfigurationError as error:
            raise StateError(f"{'stdin' if name == _STDIN else name}: {error}") from error

    def controllers(self) -> list[Concern]:
        """All controllers; pods are placed as ``profiles`` says."""
        return controllers(self.profiles())

    def load(self, names: Iterable[str]) -> Loaded:
        """Reads files, directories and stdin, and puts what names no namespace into the one asked for."""
        loaded = Loaded.joined(self._load_one(name) for name in names)
        return replace(loaded, objects=tuple(in_namespace(obj, self.namespace) for obj in loaded.objects))

    def read(self, *, allow_empty: bool = False) -> Cluster:
        """Reads what the options name; says on stderr what looks wrong. ``allow_empty``: that may be nothing.

        Raises:
            RefusedError: something was refused, and ``--skip-invalid`` wasn't given.
        """
        if self.is_empty and not allow_empty:
            raise click.UsageError(
                "nothing to work on: name manifests with -f, or the objects of a cluster with --observed"
            )
        if (*self.desired, *self.observed, self.scheduler_config).count(_STDIN) > 1:
            raise click.UsageError("stdin (-) can be read only once")
        desired, observed = self.load(self.desired), self.load(self.observed)
        definitions = definitions_of((*desired.objects, *observed.objects))
        cluster = Cluster(
            options=self,
            desired=desired.objects,
            observed=observed.objects,
            nodes=tuple(self.made_up_nodes()),
            origins={
                Key.of(place(obj, definitions)): origin
                for loaded in (observed, desired)
                for obj, origin in zip(loaded.objects, loaded.origins, strict=True)
            },
            refused=(*desired.refused, *observed.refused),
        )
        for text in (*desired.warnings, *observed.warnings):
            exits.warning(text)
        cluster.check(cluster.refused)
        return cluster

    def _load_one(self, name: str) -> Loaded:
        if name == _STDIN:
            return load(sys.stdin.buffer.read(), validation=self.validation, origin="stdin")
        if not Path(name).exists():
            raise click.ClickException(f'the path "{name}" does not exist')
        return load_files([name], validation=self.validation)

    def made_up_nodes(self) -> list[Node]:
        """The nodes of ``--nodes``."""
        try:
            return parse_nodes(self.nodes, now=self.now) if self.nodes else []
        except StateError as error:
            raise click.BadParameter(str(error), param_hint="--nodes") from error


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything read. ``origins`` says where each object comes from, ``refused`` what was not taken."""

    options: Inputs
    desired: Sequence[AnyObject]
    observed: Sequence[AnyObject]
    nodes: Sequence[Node]
    origins: dict[Key, str]
    refused: tuple[Refusal, ...]

    def plan(self) -> Plan:
        """The plan for it.

        Raises:
            RefusedError: as for ``Inputs.read``.
        """
        plan = reconcile(
            self.desired,
            self.observed,
            now=self.options.now,
            nodes=self.nodes,
            on_invalid="skip",
            concerns=self.options.controllers(),
        )
        self.check(self.all_refused(plan.refused))
        return plan

    def all_refused(self, later: Iterable[Refusal]) -> tuple[Refusal, ...]:
        """What was refused when it was read and what was refused later, each with the file that it comes from."""
        return (*self.refused, *map(self._located, later))

    def _located(self, refusal: Refusal) -> Refusal:
        origin = None if refusal.key is None else self.origins.get(refusal.key)
        return refusal if origin is None else replace(refusal, origin=origin)

    def check(self, refused: Sequence[Refusal]) -> None:
        """Ends the command over refused manifests, unless it is to go on without them.

        Raises:
            RefusedError: after each was told on stderr.
        """
        if refused and not self.options.skip_invalid:
            for refusal in refused:
                exits.error(str(refusal))
            raise exits.RefusedError

    def shows(self, key: Key) -> bool:
        """Whether an object is in the namespace asked for."""
        wanted = self.options.namespace
        return not wanted or wanted == (key.name if key.kind == "Namespace" else key.namespace)


def in_namespace(obj: AnyObject, namespace: str) -> AnyObject:
    """The object, put into a namespace if its kind has one and it names none."""
    kind = KINDS.get(kind_key(obj))
    if not namespace or obj.metadata.namespace or kind is None or not kind.namespaced:
        return obj
    return changed(obj, metadata=changed(obj.metadata, namespace=namespace))
