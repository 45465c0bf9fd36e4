"""Loads durable_rules: its expression language and its C module, and nothing else of it.

`durable.lang` imports `durable.engine`, and that imports the C module, so a machine where the C
module does not load could not even write a rule. Here the two are told apart: `lang` always loads,
`native` is None when the C module does not, and `load_error` says why. No host is made, so none of
durable_rules' timer threads is started.

The C module refers to `PyEval_CallObject`, which CPython 3.13 no longer has. It is needed only by
storage callbacks that are never set, so the module is loaded with lazy binding, which leaves the
symbol unresolved until it is called.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import Any

_NATIVE = "durable_rules_engine"


def _load() -> tuple[Any, str]:
    """The C module and "", or None and the reason why it did not load."""
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_LAZY)
    try:
        return importlib.import_module(_NATIVE), ""
    except ImportError as error:
        return None, str(error)
    finally:
        sys.setdlopenflags(flags)


def _load_lang(found: Any) -> Any:
    """`durable.lang`, with an empty module in the place of the C module where that is missing."""
    if found is not None:
        return importlib.import_module("durable.lang")
    sys.modules[_NATIVE] = ModuleType(_NATIVE)
    try:
        return importlib.import_module("durable.lang")
    finally:
        del sys.modules[_NATIVE]


native, load_error = _load()
lang = _load_lang(native)
