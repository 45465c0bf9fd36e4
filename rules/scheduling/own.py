"""A scheduling plugin of one's own: a filter and a score over node columns, in one small class.

```python
class NewHardwareFirst(ColumnPlugin):
    name = "NewHardwareFirst"

    def rank(self, pod, nodes):
        return np.array([10 * int(value or 0) for value in nodes.label_values("gen")])
```

Both see many nodes at once and are asked again only for nodes whose pods changed, so a verdict may depend on the node,
its pods and the pod's class, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules.scheduling.columns import Ints, Mask, NodeRows
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodClass
from rules.scheduling.status import MAX_SCORE, UNSCHEDULABLE, Refusal
from state.errors import StateError


class PluginError(StateError):
    """A plugin of the user's own failed, or gave what it must not; the cause is chained."""

    def __init__(self, plugin: str, method: str, message: str) -> None:
        super().__init__(f"plugin {plugin}: {method} {message}")


class ColumnPlugin(Plugin):
    """Base of plugins of one's own. Override ``fits``, ``rank``, or both."""

    scores = True
    #: What is said of nodes that ``fits`` refuses; the name by default.
    reason = ""

    @property
    def sentence(self) -> str:
        """The reason of a refusal."""
        return self.reason or f"node(s) refused by {self.name}"

    def fits(self, pod: PodClass, nodes: NodeRows) -> Mask:
        """Which of the nodes will do."""
        return np.ones(nodes.size, dtype=bool)

    def rank(self, pod: PodClass, nodes: NodeRows) -> Ints:
        """0..100 for each of the nodes."""
        return np.zeros(nodes.size, dtype=np.int64)

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """``fits`` for one node."""
        if self.allowed(cycle.cls, NodeRows([node]))[0]:
            return None
        return self.refuse(UNSCHEDULABLE, self.sentence)

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """``rank`` for one node."""
        return int(self.ranks(cycle.cls, NodeRows([node]))[0])

    def normalize(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        """Ranks count as they are."""
        return scores

    def allowed(self, pod: PodClass, nodes: NodeRows) -> Mask:
        """``fits``, checked.

        Raises:
            PluginError: it failed, or gave no truth value for each node.
        """
        mask = self._column(self.fits, pod, nodes)
        if mask.dtype != np.bool_:
            raise PluginError(self.name, "fits", f"must give a boolean for each node, not {mask.dtype}")
        return mask

    def ranks(self, pod: PodClass, nodes: NodeRows) -> Ints:
        """``rank``, checked.

        Raises:
            PluginError: it failed, or gave no number from 0 to 100 for each node.
        """
        ranks = self._column(self.rank, pod, nodes)
        if nodes.size and not 0 <= ranks.min() <= ranks.max() <= MAX_SCORE:
            raise PluginError(self.name, "rank", f"must give a number from 0 to {MAX_SCORE} for each node")
        return ranks.astype(np.int64)

    def _column(self, method: Callable[[PodClass, NodeRows], Any], pod: PodClass, nodes: NodeRows) -> NDArray[Any]:
        try:
            column = np.asarray(method(pod, nodes))
        except Exception as error:
            raise PluginError(self.name, method.__name__, f"failed: {type(error).__name__}: {error}") from error
        if column.shape != (nodes.size,):
            raise PluginError(self.name, method.__name__, f"must give {nodes.size} values, one for each node")
        return column
