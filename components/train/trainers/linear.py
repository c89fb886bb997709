"""Logistic, softmax or linear regression: the first model to try, and one whose weights can be read."""

from __future__ import annotations

from pydantic import Field

from components.train.encoding_info import encoding_info
from components.train.job import TrainedModel, TrainingJob
from components.train.network import FitParameters, export, fit


class LinearParameters(FitParameters):
    """Parameters of `linear`, with their defaults."""

    learning_rate: float = Field(0.01, gt=0)
    l2: float = Field(1e-5, ge=0)


def train(job: TrainingJob) -> TrainedModel:
    """Fits and writes the model; the weights are those of standardised numbers and of single categories."""
    fitted = fit(job, job.read_parameters(LinearParameters))
    export(job, fitted)
    kernel, table, bias = (variable.numpy() for variable in fitted.network.get_layer("layer_1").weights)
    terms = [*fitted.encoding.dense_terms, *fitted.encoding.categories, "(intercept)"]
    coefficients: dict[str, float] = {}
    for term, row in zip(terms, [*kernel, *table, bias], strict=True):
        if job.classes:
            coefficients |= {f"{term} → {name}": float(w) for name, w in zip(job.classes, row, strict=True)}
        else:
            coefficients[term] = float(row[0])
    return TrainedModel(
        metrics=fitted.metrics,
        curve=fitted.curve,
        coefficients=coefficients,
        encoding=encoding_info(fitted.encoding),
        notices=fitted.notices,
    )
