"""A network of a few dense layers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.train.encoding_info import encoding_info
from components.train.job import TrainedModel, TrainingJob
from components.train.network import FitParameters, export, fit


class MlpParameters(FitParameters):
    """Parameters of `mlp`, with their defaults.

    Attributes:
        hidden: Units of the hidden layers.
        dropout: Share of hidden units left out in each step.
    """

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 32), min_length=1)
    dropout: float = Field(0.0, ge=0, lt=1)


def train(job: TrainingJob) -> TrainedModel:
    """Fits and writes the model."""
    parameters = job.read_parameters(MlpParameters)
    fitted = fit(job, parameters, hidden=parameters.hidden, dropout=parameters.dropout)
    export(job, fitted)
    return TrainedModel(
        metrics=fitted.metrics,
        curve=fitted.curve,
        encoding=encoding_info(fitted.encoding),
        notices=fitted.notices,
    )
