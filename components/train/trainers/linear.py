"""Logistic, softmax or linear regression: the first model to try, and one whose weights can be read."""

from __future__ import annotations

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
        notices=(*fitted.notices, *natural.notices, *notices),
    )


def _optimum(job: TrainingJob, parameters: LinearParameters, encoding: Encoding, network: Any) -> bool:
    """Moves the weights to the optimum, if that is reached."""
    found = optimum(_function(job, parameters, encoding, network, Calibration()), job.train)
    if found is None:
        return False
    kernel, table, bias = network.get_layer("layer_1").weights
    for variable, values in ((kernel, found.kernel), (table, found.table), (bias, found.bias)):
        variable.assign(values.astype("float32"))
    return True


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
