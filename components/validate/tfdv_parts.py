"""The parts of TensorFlow Data Validation that work in memory, imported without TensorFlow and without Apache Beam.

`import tensorflow_data_validation` imports both, which takes 8 seconds and 600 MB, several times as long as the
statistics themselves. The two statistics generators and the validator (C++) that do the work in memory only mention
them: in annotations, in classes for Beam, in counters that nobody reads here. So their modules are imported beside
stand-ins that accept anything and do nothing, and are taken out of `sys.modules` again, so that a later real import is
not affected. A test holds what they compute to what TFDV's public functions compute.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

_PACKAGES = ("tensorflow_data_validation", "tfx_bsl")
_STOOD_IN_FOR = ("apache_beam", "tensorflow")


class Parts(NamedTuple):
    """What TFDV computes with.

    Attributes:
        basic: `BasicStatsGenerator`.
        top: `TopKUniquesSketchStatsGenerator`.
        merge: Merges the outputs of several generators into one `DatasetFeatureStatisticsList`.
        validator: The C++ module that `tfdv.validate_statistics` calls.
        sketch: `QuantilesSketch`.
    """

    basic: Any
    top: Any
    merge: Any
    validator: Any
    sketch: Any


def load() -> Parts:
    """The parts; in a process that has imported the whole of TFDV, those of it."""
    return _import() if _PACKAGES[0] in sys.modules else _alone()


@cache
def _alone() -> Parts:
    with _stand_ins():
        return _import()


def _import() -> Parts:
    from tensorflow_data_validation.pywrap.tensorflow_data_validation_extension import validation
    from tensorflow_data_validation.statistics.generators import (
        basic_stats_generator,
        top_k_uniques_sketch_stats_generator,
    )
    from tfx_bsl.sketches import QuantilesSketch
    from tfx_bsl.statistics import merge_util

    return Parts(
        basic=basic_stats_generator.BasicStatsGenerator,
        top=top_k_uniques_sketch_stats_generator.TopKUniquesSketchStatsGenerator,
        merge=merge_util.merge_dataset_feature_statistics,
        validator=validation,
        sketch=QuantilesSketch,
    )


class _Inert:
    """Any attribute, item and call of it is another one; a class that derives from it does not."""

    def __getattr__(self, name: str) -> _Inert:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Inert()

    def __call__(self, *args: object, **kwargs: object) -> _Inert:
        return _Inert()

    def __getitem__(self, key: object) -> _Inert:
        return _Inert()

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return ()


class _InertModule(ModuleType):
    def __getattr__(self, name: str) -> _Inert:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Inert()


@contextmanager
def _stand_ins() -> Iterator[None]:
    before = set(sys.modules)
    for name in _STOOD_IN_FOR:
        sys.modules.setdefault(name, _InertModule(name))
    # The package's own `__init__` imports everything: a package whose `__init__` has not run still finds its modules.
    spec = importlib.util.find_spec(_PACKAGES[0])
    if spec is None:
        raise ModuleNotFoundError(f"No module named '{_PACKAGES[0]}'", name=_PACKAGES[0])
    sys.modules[_PACKAGES[0]] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        new = set(sys.modules) - before
        # Extension modules and what they hold stay: they know no stand-ins, and can be initialised only once.
        built = tuple(name for name in new if str(getattr(sys.modules[name], "__file__", "")).endswith(".so"))
        for name in new:
            ours = isinstance(sys.modules[name], _InertModule) or name.split(".")[0] in _PACKAGES
            if ours and not any(name == kept or name.startswith(f"{kept}.") for kept in built):
                del sys.modules[name]
