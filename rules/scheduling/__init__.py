"""Where pods go: what kube-scheduler v1.34 decides with its default profile when it looks at all nodes.

``Scheduler`` decides, follows changes and diagnoses; ``schedule_cluster`` does a whole cluster of plain dicts;
``capacity`` and ``drain`` say what would be. ``load_configuration`` reads a KubeSchedulerConfiguration;
``ColumnPlugin`` is the base of plugins of one's own.
"""

from rules.scheduling.admission import ClusterError
from rules.scheduling.batch import schedule_cluster
from rules.scheduling.capacity import Capacity, capacity
from rules.scheduling.configuration import load_configuration
from rules.scheduling.decision import Decision, Diagnosis, NodeVerdict, VolumeChoices
from rules.scheduling.drain import Move, drain
from rules.scheduling.own import ColumnPlugin, PluginError
from rules.scheduling.profile import DEFAULT, Profile
from rules.scheduling.scheduler import Scheduler
from rules.scheduling.settings import ConfigurationError

__all__ = [
    "DEFAULT",
    "Capacity",
    "ClusterError",
    "ColumnPlugin",
    "ConfigurationError",
    "Decision",
    "Diagnosis",
    "Move",
    "NodeVerdict",
    "PluginError",
    "Profile",
    "Scheduler",
    "VolumeChoices",
    "capacity",
    "drain",
    "load_configuration",
    "schedule_cluster",
]
