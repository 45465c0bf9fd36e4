"""API objects of Kubernetes v1.34 as frozen structs; ``KINDS`` lists those that are typed.

Everything public in the modules of this package is to be had here. They are as long as the API is: one struct a type,
one line a field. A field without a type of its own is carried as ``Opaque``.
"""

# ruff: noqa: F403 - all of it, without a list of 240 names to be kept
from __future__ import annotations

from state.objects._base import *
from state.objects.containers import *
from state.objects.core import *
from state.objects.custom import *
from state.objects.kinds import *
from state.objects.meta import *
from state.objects.pods import *
from state.objects.storage import *
from state.objects.volumes import *
from state.objects.workloads import *
