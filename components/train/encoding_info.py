"""What a reader of `model.json` is told of the preprocessing: enough to see which categories came and went."""

from __future__ import annotations

from components._shared.model_info import FeatureEncodingInfo
from components.train.preprocessing import CategoryEncoding, Encoding, FeatureEncoding, NumberEncoding

MOST_VALUES = 10_000
"""Of a feature, in `model.json`; `figures.values` says how many there are."""


def encoding_info(encoding: Encoding) -> dict[str, FeatureEncodingInfo]:
    """Feature → how it is prepared.

    Figures of a number: `mean`, `scale`, `filler` (what stands for a missing one, standardised), `indicator` (1: being
    missing is a term of its own). Of a category: `values` (with weights of their own), `other`, `missing` (1: *train*
    has some). Of a moment: `hours`, `missing`.
    """
    return {feature.name: _info(feature) for feature in encoding.features}


def _info(feature: FeatureEncoding) -> FeatureEncodingInfo:
    if isinstance(feature, NumberEncoding):
        figures = {"mean": feature.mean, "scale": feature.scale, "filler": feature.filler}
        return FeatureEncodingInfo(figures={**figures, "indicator": float(feature.indicator)})
    if isinstance(feature, CategoryEncoding):
        return FeatureEncodingInfo(
            values=tuple(value.decode(errors="replace") for value in feature.values[:MOST_VALUES]),
            figures={
                "values": float(len(feature.values)),
                "other": float(feature.has_other),
                "missing": float(feature.has_missing),
            },
        )
    return FeatureEncodingInfo(figures={"hours": float(feature.hours), "missing": float(feature.has_missing)})
