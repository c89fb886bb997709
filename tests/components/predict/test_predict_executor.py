"""Predicting: one table of scores, in the order of the rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared import storage
from components._shared.contract import digest_of
from components._shared.errors import CorruptError, DataError, ModelError, NotFoundError, TaskError
from components._shared.manifest import Manifest
from components._shared.model_files import MODEL_JSON, model_digest, read_model_info
from components._shared.records import ModelRef
from components._shared.tables import read_table
from components.predict.executor import predict
from tests.synthetic_rows import manifest, rows, scoring

ROOT = Path(__file__).resolve().parents[3]
RESERVED = ["_time", "_key", "_label", "_cluster", "_weight"]


@pytest.mark.parametrize("problem", ["binary_classification", "multiclass_classification", "regression"])
def test_every_row_is_scored_in_the_order_of_the_rows(
    problem: str, model_of: Any, test_rows: Any, tmp_path: Path
) -> None:
    examples = test_rows(problem)
    made = predict(
        examples=examples, data_root=str(tmp_path / "data"), scoring=scoring(problem), model=model_of(problem)
    )
    table, source = read_table(made), read_table(examples)
    scores = [name for name in table.column_names if name.startswith("score")]

    assert made.role == "predictions"
    assert table.column_names == [*RESERVED, "shop", *scores]
    assert scores == (["score_0", "score_1", "score_2"] if problem == "multiclass_classification" else ["score"])
    assert made.count == examples.count == table.num_rows
    for name in [*RESERVED, "shop"]:
        assert table.column(name).equals(source.column(name))
    if problem != "regression":
        values = np.stack([table.column(name).to_numpy() for name in scores])
        assert values.min() >= 0 and values.sum(axis=0).max() <= 1 + 1e-6


def test_the_predictions_say_whose_they_are(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    examples, root = test_rows(), str(tmp_path / "data")
    info = read_model_info(model_of())

    made = predict(examples=examples, data_root=root, scoring=scoring(), model=model_of())

    assert made.model == info.digest
    assert made.fit_until == info.fit_until is not None
    assert made.base == info.base
    assert made.window == examples.window
    assert made.made_from == {"examples": examples.digest, "model": info.digest}
    kept = storage.read(storage.join(root, "manifests", f"{digest_of(json.loads(made.to_json()))}.json"))
    assert Manifest.from_json(kept) == made


def test_the_same_rows_and_model_give_the_same_predictions_and_no_new_shard(
    model_of: Any, test_rows: Any, tmp_path: Path
) -> None:
    once = predict(examples=test_rows(), data_root=str(tmp_path / "p"), scoring=scoring(), model=model_of())
    before = [(found.uri, found.generation) for found in storage.list_objects(str(tmp_path / "p"))]

    assert predict(examples=test_rows(), data_root=str(tmp_path / "p"), scoring=scoring(), model=model_of()) == once
    assert [(found.uri, found.generation) for found in storage.list_objects(str(tmp_path / "p"))] == before


def test_rows_without_a_label_are_scored_too(model_of: Any, tmp_path: Path) -> None:
    columns = {**rows(50), "_label": [None] * 50}
    examples = manifest(tmp_path, columns, "recent")

    made = predict(examples=examples, data_root=str(tmp_path), scoring=scoring(), model=model_of())

    assert made.count == 50
    assert read_table(made).column("_label").null_count == 50


def test_without_a_model_the_predictions_are_empty(test_rows: Any, tmp_path: Path) -> None:
    made = predict(examples=test_rows("regression"), data_root=str(tmp_path / "data"), scoring=scoring("regression"))

    assert (made.model, made.count, made.shards, made.base, made.fit_until) == ("", 0, (), (), None)
    assert read_table(made).column_names == [*RESERVED, "shop", "score"]


def _version(home: Path, model: Path) -> ModelRef:
    shutil.copytree(model, home)
    (home / "lineage.json").write_text("{}", encoding="utf-8")
    (home / "verdict.json").write_text("{}", encoding="utf-8")
    info = read_model_info(home)
    return ModelRef(version=3, uri=str(home), digest=info.digest, fit_until=info.fit_until)


def test_a_registered_version_predicts_as_the_model_it_was_made_of(
    model_of: Any, test_rows: Any, tmp_path: Path
) -> None:
    ref = _version(tmp_path / "registry" / "3", model_of())
    examples, root = test_rows(), str(tmp_path / "data")

    made = predict(examples=examples, data_root=root, scoring=scoring(), registered=ref)

    assert made == predict(examples=examples, data_root=root, scoring=scoring(), model=model_of())


def test_a_registered_version_that_was_changed_is_refused(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    home = tmp_path / "registry" / "3"
    ref = _version(home, model_of())
    given = {"examples": test_rows(), "data_root": str(tmp_path / "data"), "scoring": scoring()}

    with pytest.raises(CorruptError, match="Version 3 is not the model that it was"):
        predict(**given, registered=ref.model_copy(update={"digest": "0" * 64}))
    with (home / "saved_model.pb").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CorruptError, match="not those that were trained"):
        predict(**given, registered=ref)
    shutil.rmtree(home)
    with pytest.raises(NotFoundError, match="no model here"):
        predict(**given, registered=ref)


def test_a_missing_feature_is_named(model_of: Any, tmp_path: Path) -> None:
    types = {"_key": "string", "_label": "float64", "shop": "string"}
    examples = manifest(tmp_path, {name: rows(5)[name] for name in types}, "test", types=types)

    with pytest.raises(DataError, match=r"no column for these features: .*temperature"):
        predict(examples=examples, data_root=str(tmp_path), scoring=scoring(), model=model_of())


def test_a_slice_that_cannot_be_carried_along_is_refused(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    given = {"examples": test_rows(), "data_root": str(tmp_path), "model": model_of()}

    with pytest.raises(DataError, match="no column for the slice 'town'"):
        predict(**given, scoring=scoring(slices=["town"]))
    types = {"_key": "string", "score": "float64"}
    examples = manifest(tmp_path, {"_key": rows(2)["_key"], "score": [1.0, 2.0]}, "test", types=types)
    with pytest.raises(TaskError, match="'score', as the model's output"):
        predict(examples=examples, data_root=str(tmp_path), scoring=scoring(slices=["score"]))


def test_a_model_of_another_number_of_classes_is_refused(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="answers 1 scores for a row, the task has 3"):
        predict(
            examples=test_rows(),
            data_root=str(tmp_path),
            scoring=scoring("multiclass_classification"),
            model=model_of(),
        )


def _broken(model: Path, home: Path, score: Any) -> Path:
    """A copy of a model whose graph is another one."""
    from components.train.export import write_saved_model

    info = read_model_info(model)
    write_saved_model(home, info.inputs, score)
    (home / MODEL_JSON).write_text(info.model_copy(update={"digest": model_digest(home)}).to_json(), encoding="utf-8")
    return home


def test_a_score_that_is_not_finite_names_its_row(model_of: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    columns = rows(50, missing=False)
    columns["temperature (°C)"][7] = None
    examples = manifest(tmp_path, columns, "test")
    model = _broken(model_of(), tmp_path / "broken", lambda given: tf.identity(given["temperature_C"]))

    with pytest.raises(DataError, match=f"not a finite number for 1 rows.*{columns['_key'][7]}"):
        predict(examples=examples, data_root=str(tmp_path), scoring=scoring(), model=model)
    assert not list(storage.list_objects(str(tmp_path / "manifests")))


def test_a_model_that_answers_another_shape_is_refused(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    model = _broken(model_of(), tmp_path / "broken", lambda given: given["temperature_C"][:, 0])

    with pytest.raises(ModelError, match="array of shape"):
        predict(examples=test_rows(), data_root=str(tmp_path), scoring=scoring(), model=model)
