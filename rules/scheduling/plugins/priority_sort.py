"""PrioritySort: the most important pod first, among equals the oldest."""

from __future__ import annotations

from rules.scheduling.pods import PodEntry

NAME = "PrioritySort"


def queue_key(entry: PodEntry) -> tuple[int, str]:
    """Sorts pods; RFC 3339 times in UTC sort as text, and Kubernetes writes no others."""
    return (-entry.cls.priority, entry.pod.metadata.creation_timestamp or "")
