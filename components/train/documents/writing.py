"""Writes the documents of a linear model beside its SavedModel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.train.documents.pfa import to_pfa
from components.train.documents.pmml import NotExpressible, to_pmml
from components.train.documents.served_function import served_function

if TYPE_CHECKING:
    from components.train.job import TrainingJob
    from components.train.network import FittedNetwork

PMML = "model.pmml"
PFA = "model.pfa.json"

_MOST_WEIGHTS = 500_000
"""Of more, the documents would be texts of more than 50 MB, which few can open."""


def write_documents(job: TrainingJob, fitted: FittedNetwork) -> tuple[dict[str, str], tuple[str, ...]]:
    """Writes them into the model's directory.

    Args:
        job: Names the directory, which exists.
        fitted: A network of one layer.

    Returns:
        Standard → name of the file; and what a reader should know of a document that could not be written.
    """
    weights = int(fitted.network.count_params())
    if weights > _MOST_WEIGHTS:
        said = (
            f"There is no PMML or PFA document of this model: it has {weights:,} weights, of which most are categories."
        )
        return {}, (said,)
    function = served_function(job, fitted)
    documents = {"pfa": PFA}
    (job.model_dir / PFA).write_bytes(to_pfa(function))
    try:
        (job.model_dir / PMML).write_bytes(to_pmml(function))
    except NotExpressible as cause:
        return documents, (f"There is no PMML document of this model: {cause}.",)
    return {"pmml": PMML, **documents}, ()
