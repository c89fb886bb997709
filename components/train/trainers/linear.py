"""Logistic, softmax or linear regression: the first model to try, and one whose weights can be read."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from components.train.calibration import Calibration
from components.train.coefficients import natural_terms
from components.train.documents.writing import write_documents
from components.train.encoding_info import encoding_info
from components.train.job import TrainedModel, TrainingJob
from components.train.linear_function import LinearFunction
from components.train.network import FitParameters, export, fit
from components.train.newton import optimum
from components.train.preprocessing import Encoding

_EVENTS_PER_WEIGHT = 10
"""Fewer, and the optimum is far from the truth: Peduzzi et al., A simulation study of the number of events per variable
in logistic regression analysis, 1996."""


class LinearParameters(FitParameters):
    """Parameters of `linear`, with their defaults."""

    learning_rate: float = Field(0.01, gt=0)
    l2: float = Field(1e-5, ge=0)


def train(job: TrainingJob) -> TrainedModel:
    """Fits and writes the model; the weights are those of standardised numbers and of single categories."""
    parameters = job.read_parameters(LinearParameters)
    fitted = fit(job, parameters, finish=lambda encoding, network: _optimum(job, parameters, encoding, network))
    export(job, fitted)
    documents, notices = write_documents(job, fitted)
    kernel, table, bias = (variable.numpy() for variable in fitted.network.get_layer("layer_1").weights)
    terms = [*fitted.encoding.dense_terms, *fitted.encoding.categories, "(intercept)"]
    coefficients: dict[str, float] = {}
    for term, row in zip(terms, [*kernel, *table, bias], strict=True):
        if job.classes:
            coefficients |= {f"{term} → {name}": float(w) for name, w in zip(job.classes, row, strict=True)}
        else:
            coefficients[term] = float(row[0])
    natural = natural_terms(_function(job, parameters, fitted.encoding, fitted.network, fitted.calibration), job.train)
    return TrainedModel(
        metrics=fitted.metrics,
        curve=fitted.curve,
        coefficients=coefficients,
        terms=natural.terms,
        encoding=encoding_info(fitted.encoding),
        documents=documents,
        notices=(*fitted.notices, *natural.notices, *_warnings(job, len(coefficients)), *notices),
    )


def _optimum(job: TrainingJob, parameters: LinearParameters, encoding: Encoding, network: Any) -> float | None:
    """Moves the weights to the optimum, if that is reached; answers how much worse on *tune* it may be.

    With enough rows for the weights, the best of some epochs is better on *tune* by chance. With fewer, early stopping
    may be what keeps the weights small.
    """
    found = optimum(_function(job, parameters, encoding, network, Calibration()), job.train)
    if found is None:
        return None
    kernel, table, bias = network.get_layer("layer_1").weights
    for variable, values in ((kernel, found.kernel), (table, found.table), (bias, found.bias)):
        variable.assign(values.astype("float32"))
    return math.inf if _events(job) >= _EVENTS_PER_WEIGHT * found.parameters.size else 1.0


def _warnings(job: TrainingJob, coefficients: int) -> list[str]:
    if _events(job) >= _EVENTS_PER_WEIGHT * coefficients:
        return []
    return [
        f"There are fewer than {_EVENTS_PER_WEIGHT} rows (of classes that are not the most frequent) for each of the "
        f"{coefficients} coefficients: their intervals are narrower than what other rows would show."
    ]


def _events(job: TrainingJob) -> float:
    """Rows of all classes but the most frequent; of a regression, all rows."""
    base = job.labels.base
    match job.problem:
        case "binary_classification":
            return job.labels.rows * min(base[0], 1 - base[0])
        case "multiclass_classification":
            return job.labels.rows * (1 - max(base))
        case "regression":
            return job.labels.rows


def _function(
    job: TrainingJob, parameters: LinearParameters, encoding: Encoding, network: Any, calibration: Calibration
) -> LinearFunction:
    """The model without TensorFlow."""
    kernel, table, bias = (variable.numpy().astype("float64") for variable in network.get_layer("layer_1").weights)
    mean, std = (job.labels.base[0], job.labels.std or 1.0) if job.problem == "regression" else (0.0, 1.0)
    return LinearFunction(
        problem=job.problem,
        classes=job.classes,
        encoding=encoding,
        kernel=kernel,
        table=table,
        bias=bias,
        scale=std if job.problem == "regression" else calibration.slope,
        offset=mean if job.problem == "regression" else calibration.shift,
        label_mean=mean,
        label_std=std,
        mean_weight=job.labels.mean_weight,
        # Of a regression, the network's loss is the squared error, twice that of `LinearFunction`.
        l2=parameters.l2 / 2 if job.problem == "regression" else parameters.l2,
    )
