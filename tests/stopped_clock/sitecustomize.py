"""Lets the steps of a run see the time that SAIKI_TEST_NOW gives, in whatever process they run.

Python imports this module at its start from a folder on PYTHONPATH. Nothing else is touched: only the modules that
look at the clock for what they decide or record find another `datetime.now`.
"""

from __future__ import annotations

import datetime as real
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_LOOK_AT_THE_CLOCK = ("components.plan.executor", "components.push.executor", "components._shared.registry")


class _Stopped(real.datetime):
    @classmethod
    def now(cls, tz: real.tzinfo | None = None) -> Any:
        given = os.environ.get("SAIKI_TEST_NOW")
        return real.datetime.fromisoformat(given).astimezone(tz) if given else real.datetime.now(tz)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _LOOK_AT_THE_CLOCK:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def with_clock(module: ModuleType) -> None:
            execute(module)
            module.datetime = _Stopped  # type: ignore[attr-defined]

        spec.loader.exec_module = with_clock  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Finder())

# What stands in for the interpreter of one environment, where a step starts it again (`forking_python.py`).
_prefix, _, _stand_in = os.environ.get("SAIKI_TEST_PYTHON", "").partition("=")
if _prefix == sys.prefix:
    sys.executable = _stand_in
